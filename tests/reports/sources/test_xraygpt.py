"""XrayGPT's captions: one record an image, the views of a study joined, MIMIC's patients found where they can be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.reports.sources import SOURCES, SourceError
from tests.reports.sources.found import TEXTS, kinds, read
from tests.reports.sources.layouts import mimic_studies, write_mimic

pytestmark = pytest.mark.quick


def write(folder: Path, annotations: list[Any], images: tuple[str, ...] = (), home: str = "image", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "filter_cap.json").write_text(json.dumps({**more, "annotations": annotations, "after": [1]}))
    (folder / home).mkdir(exist_ok=True)
    for image in images:
        (folder / home / image).touch()
    return folder


def caption(image: Any, text: str = "The lungs are clear.") -> dict[str, Any]:
    return {"image_id": image, "caption": text}


@pytest.mark.parametrize(("home", "end"), [("image", "png"), ("image", "jpg"), ("images", "png")])
def test_the_views_of_a_report_are_joined(tmp_path, home, end):
    records = [caption("162_1"), caption("7_1", "Other."), caption("162_2")]
    root = write(
        tmp_path, records, tuple(f"{n}.{end}" for n in ("162_1", "162_2", "7_1")), home, info={"n": 1.5, "a": []}
    )
    (first, second), flaws = read("xraygpt", root)
    assert not flaws
    assert (first.study_id, first.patient_id, first.report.text) == ("CXR162", "CXR162", "The lungs are clear.")
    assert first.report.findings == first.report.text
    assert [view.path.stem for view in first.views] == ["162_1", "162_2"]
    assert (second.study_id, second.report.text) == ("CXR7", "Other.")
    assert not SOURCES["xraygpt"].reports


def test_captions_alone_need_no_images(tmp_path):
    root = write(tmp_path, [caption("162_1"), caption("162_2")])
    (study,), flaws = read("xraygpt", root / "filter_cap.json", TEXTS)
    assert (study.study_id, study.views, flaws) == ("CXR162", (), [])


def test_what_cannot_be_used_says_why(tmp_path):
    records = [
        caption("1_1"),
        caption("1_2", "Another text."),
        caption("2_1"),
        caption("3_1"),
        caption("3_2"),
        caption("../../x"),
        {"caption": "x"},
        4,
    ]
    kept, flaws = read("xraygpt", write(tmp_path, records, ("1_1.png", "1_2.png", "3_1.png")))
    assert [study.study_id for study in kept] == ["CXR3"]
    assert kinds(flaws) == {
        "rows disagree": 1,
        "image missing": 1,
        "view missing": 1,
        "path leads out": 1,
        "row incomplete": 1,
        "row unreadable": 1,
    }


def test_mimic_ids_are_studies_of_their_own_unless_the_metadata_lies_beside(tmp_path):
    studies = mimic_studies(["text"] * 3)
    ids = [image for study in studies for image in study.images]
    root = write(
        tmp_path, [caption(image) for image in [*ids, "0" * 8]], tuple(f"{image}.jpg" for image in [*ids, "0" * 8])
    )
    kept, flaws = read("xraygpt", root)
    assert (len(kept), kinds(flaws)) == (7, {"patient unknown": 7})
    assert not any(flaw.bad for flaw in flaws)
    assert all("mimic-cxr-2.0.0-metadata.csv.gz" in flaw.reason for flaw in flaws)
    assert kinds(read("xraygpt", root, TEXTS)[1]) == {"patient unknown": 7}
    assert kept[0].study_id == kept[0].patient_id == ids[0]
    write_mimic(tmp_path / "mimic", studies, images=False)
    for path in (tmp_path / "mimic").glob("*.csv.gz"):
        shutil.copy(path, root)
    kept, flaws = read("xraygpt", root)
    assert [(study.study_id, study.patient_id, study.split) for study in kept] == [
        ("50000000", "10000032", "train"),
        ("50000001", "10000032", "train"),
        ("50000002", "10000033", "train"),
    ]
    assert [view.position for view in kept[0].views] == ["frontal", "lateral"]
    assert kinds(flaws) == {"image unlisted": 1}
    assert {path.name for path in SOURCES["xraygpt"].tables(root)} == {
        "filter_cap.json",
        "mimic-cxr-2.0.0-metadata.csv.gz",
        "mimic-cxr-2.0.0-split.csv.gz",
    }


def test_a_file_without_annotations_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"holds no filter_cap\.json"):
        read("xraygpt", tmp_path)
    (tmp_path / "filter_cap.json").write_text('{"a": [1], "b": {"annotations": []}}')
    with pytest.raises(SourceError, match="an object without 'annotations'"):
        read("xraygpt", tmp_path)
    (tmp_path / "filter_cap.json").write_text(json.dumps([caption("1_1")]))
    assert len(read("xraygpt", tmp_path, TEXTS)[0]) == 1
