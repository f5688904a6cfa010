"""CheXpert Plus: one row an image, rows of a study apart, sections of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.reports.sources import SOURCES, SourceError
from tests.reports.sources.found import TEXTS, kinds, read
from tests.reports.sources.layouts import write_csv

pytestmark = pytest.mark.quick

COLUMNS = (
    *("path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order"),
    *("report", "section_narrative", "section_clinical_history", "section_history", "section_comparison"),
    *("section_technique", "section_findings", "section_impression", "section_summary", "age", "sex", "split"),
)
TABLE = "df_chexpert_plus_240401.csv"


def row(patient: int = 42142, study: int = 5, view: int = 1, **cells: Any) -> dict[str, Any]:
    side = "lateral" if view == 2 else "frontal"
    return {
        "path_to_image": f"train/patient{patient}/study{study}/view{view}_{side}.jpg",
        "frontal_lateral": side.title(),
        "deid_patient_id": f"patient{patient}",
        "patient_report_date_order": study,
        "report": "FINDINGS: Clear.\nIMPRESSION: Normal.",
        "section_findings": "Clear,\nthey say.",
        "section_impression": "1. Normal.",
        "section_history": "Cough.",
        "split": "train",
        **cells,
    }


def write(
    folder: Path, rows: list[dict[str, Any]], home: str = "PNG/PNG", end: str = ".png", images: bool = True
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / TABLE, rows, COLUMNS)
    for each in rows if images else []:
        path = (folder / home / each["path_to_image"]).with_suffix(end)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("home", "end"),
    [("PNG/PNG", ".png"), ("PNG", ".png"), (".", ".jpg"), ("CheXpert-v1.0-small", ".jpg"), ("DICOM", ".dcm")],
)
def test_a_study_is_joined_from_rows_apart(tmp_path, home, end):
    rows = [row(view=2), row(patient=7, study=1, split="valid"), row(view=1)]
    (first, second), flaws = read("chexpert-plus", write(tmp_path, rows, home, end))
    assert not flaws
    assert (first.study_id, first.patient_id, first.split) == ("patient42142/study5", "patient42142", "train")
    assert [(view.path.stem, view.position) for view in first.views] == [
        ("view1_frontal", "frontal"),
        ("view2_lateral", "lateral"),
    ]
    assert (first.report.findings, first.report.impression) == ("Clear, they say.", "1. Normal.")
    assert (first.report.indication, first.taken) == ("Cough.", "000005")
    assert (second.study_id, second.split) == ("patient7/study1", "validate")
    assert not SOURCES["chexpert-plus"].public


def test_sections_come_from_the_report_where_the_table_has_none(tmp_path):
    rows = [row(section_findings="", section_impression="nan")]
    (study,), _ = read("chexpert-plus", write(tmp_path, rows, images=False), TEXTS)
    assert (study.report.findings, study.report.impression) == ("Clear.", "Normal.")


@pytest.mark.parametrize("lines", [True, False])
def test_labels_are_joined_by_study(tmp_path, lines):
    root = write(tmp_path, [row(), row(patient=8)])
    labels = [
        {"path_to_image": row()["path_to_image"], "Edema": 1.0, "Pneumonia": -1.0, "Fracture": None, "No Finding": 0}
    ]
    (root / "chexbert_labels").mkdir()
    text = "\n".join(map(json.dumps, labels)) if lines else json.dumps(labels)
    (root / "chexbert_labels" / "report_fixed.json").write_text(text)
    (first, second), _ = read("chexpert-plus", root)
    assert set(first.observations or ()) == {("Edema", 1), ("Pneumonia", -1), ("No Finding", 0)}
    assert second.observations is None
    assert [path.name for path in SOURCES["chexpert-plus"].tables(root)] == [TABLE, "report_fixed.json"]


def test_what_cannot_be_used_says_why(tmp_path):
    rows = [
        row(1),
        row(2, view=1),
        row(2, view=2, section_findings="Other."),
        row(3, split="holdout"),
        row(4, path_to_image="view1.jpg"),
        row(5, path_to_image="../../patient5/study1/view1_frontal.jpg"),
        row(6),
        row(7),
        row(7, view=2),
    ]
    root = write(tmp_path, rows, images=False)
    for number, view in ((2, "1_frontal"), (3, "1_frontal"), (6, "1_frontal"), (7, "1_frontal")):
        path = root / "PNG" / f"train/patient{number}/study5/view{view}.png"
        path.parent.mkdir(parents=True)
        path.touch()
    kept, flaws = read("chexpert-plus", root)
    assert [study.patient_id for study in kept] == ["patient6", "patient7"]
    assert kinds(flaws) == {
        "image missing": 1,
        "rows disagree": 1,
        "split unclear": 1,
        "row incomplete": 1,
        "path leads out": 1,
        "view missing": 1,
    }
    assert "patient" not in " ".join(flaw.where + flaw.reason for flaw in flaws if flaw.kind != "row incomplete")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"holds no df_chexpert_plus"):
        read("chexpert-plus", tmp_path)
    root = write(tmp_path, [row()], images=False)
    with pytest.raises(SourceError, match="holds no images"):
        read("chexpert-plus", root)
    write_csv(root / TABLE, [row()], COLUMNS[:3])
    with pytest.raises(SourceError, match="has no column deid_patient_id, report, section_findings"):
        read("chexpert-plus", root, TEXTS)
