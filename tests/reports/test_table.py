"""Tables: rows become studies, whatever the columns are called, and bad rows say where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.sources import Columns, Flaw, Found, Reading, SourceError, open_source
from cxr_lightning.study import Study

pytestmark = pytest.mark.quick
REAL = os.environ.get("CXR_REAL_DATA")

BASE = {"study_id": "s1", "patient_id": "p1", "image": "a.png", "report": "FINDINGS: Clear lungs."}


def jsonl(folder: Path, *rows: Any, name: str = "studies.jsonl") -> Path:
    (folder / name).write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return folder


def studies(root: Path, columns: Columns = Columns()) -> list[Study]:  # noqa: B008
    found = list(open_source("table", root, Reading(columns)))
    assert all(isinstance(item, Found) for item in found), found
    return [item.study for item in found if isinstance(item, Found)]


def flaw(root: Path) -> Flaw:
    (only,) = open_source("table", root)
    assert isinstance(only, Flaw)
    return only


def test_rows_of_one_study_are_joined_wherever_they_stand(tmp_path):
    rows = [{**BASE, "image": "side.png", "view": "LL"}, {**BASE, "study_id": "s2"}, {**BASE, "view": "AP supine"}]
    first, second = studies(jsonl(tmp_path, *rows))
    assert [(view.path.name, view.position) for view in first.views] == [("a.png", "frontal"), ("side.png", "lateral")]
    assert (second.study_id, second.views[0].position) == ("s2", "unknown")
    found = next(iter(open_source("table", tmp_path)))
    assert found.where == "studies.jsonl:1,3"


def test_csv_and_jsonl_say_the_same(tmp_path):
    text = 'study_id,patient_id,image,report,labels,split\ns1,p1,a.png,"FINDINGS: Clear\nlungs.",line; pacemaker,val\n'
    (tmp_path / "one.csv").write_text("\ufeff" + text)
    (tmp_path / "two").mkdir()
    row = {**BASE, "labels": ["line", "pacemaker"], "split": "validate", "report": "FINDINGS: Clear\nlungs."}
    (ours,), (theirs,) = studies(tmp_path / "one.csv"), studies(jsonl(tmp_path / "two", row))
    assert (ours.labels, ours.split, ours.report) == (theirs.labels, theirs.split, theirs.report)
    assert ours.views[0].path == tmp_path / "a.png"


def test_lines_are_counted_through_line_breaks_in_cells(tmp_path):
    text = 'study_id,patient_id,image,report\ns1,p1,a.png,"two\nlines"\ns2,,a.png,x\ns3,p1,a.png\n'
    (tmp_path / "t.csv").write_text(text)
    flaws = [item for item in open_source("table", tmp_path) if isinstance(item, Flaw)]
    assert [item.where for item in flaws] == ["t.csv:5", "t.csv:4"]


def test_own_columns_win_over_the_free_text(tmp_path):
    row = {**BASE, "impression": "Normal.", "report": "INDICATION: Cough. FINDINGS: Clear. IMPRESSION: Other."}
    (study,) = studies(jsonl(tmp_path, row))
    assert (study.report.indication, study.report.findings, study.report.impression) == ("Cough.", "", "Normal.")


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ([], ()),
        (None, None),
        ("", None),
        ("normal", ()),
        ("nodule:left-upper;line", ("nodule:left-upper", "line")),
        (["line", "line"], ("line",)),
    ],
)
def test_labels_known_to_be_none_differ_from_unknown_ones(tmp_path, labels, known):
    assert studies(jsonl(tmp_path, {**BASE, "labels": labels}))[0].labels == known


def test_questions_and_answers_are_collected(tmp_path):
    rows = [{**BASE, "question": f"Q{n}?", "answer": f"A{n}"} for n in range(2)]
    assert studies(jsonl(tmp_path, *rows))[0].turns == (("Q0?", "A0"), ("Q1?", "A1"))


def test_a_list_of_questions_and_answers_is_taken_as_it_is(tmp_path):
    row = {
        **BASE,
        "qa": [{"question": "Enlarged?", "answer": "No", "kind": "SIZE"}, {"question": "Ribs?", "answer": 12}],
    }
    (study,) = studies(jsonl(tmp_path, {**row, "report": ""}), Columns(turns="qa"))
    assert study.turns == (("Enlarged?", "No"), ("Ribs?", "12"))


def test_numbers_are_names_too_and_nan_is_nothing(tmp_path):
    text = '{"study_id": 7, "patient_id": 8, "image": "a.png", "report": NaN, "findings": "Clear."}'
    (study,) = studies(jsonl(tmp_path, text))
    assert (study.study_id, study.patient_id, study.report.text) == ("7", "8", "")


@pytest.mark.parametrize("empty", ["nan", "NaN", " nan ", "<NA>", "NaT"])
def test_what_pandas_writes_for_an_empty_cell_is_no_report(tmp_path, empty):
    (tmp_path / "t.csv").write_text(
        f"study_id,patient_id,image,report,findings,split\ns1,p1,a.png,{empty},Clear.,{empty}\n"
        f"s2,{empty},a.png,Nan is well.,Clear.,train\n"
    )
    first, second = open_source("table", tmp_path)
    assert isinstance(first, Found)
    assert (first.study.report.text, first.study.report.findings, first.study.split) == ("", "Clear.", None)
    assert isinstance(second, Flaw)
    assert "'patient_id' is empty" in second.reason


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_of_excel_parts_its_cells_by_semicolons_or_tabs(tmp_path, mark):
    rows = ["study_id,patient_id,image,report", 's1,p1,a.png,"Clear, or"', 's2,p2,b.png,"two\nlines"']
    plain = "\n".join(rows)
    (tmp_path / "plain.csv").write_text(plain)
    parted = plain.replace(",", mark).replace(f"Clear{mark}", "Clear,")
    (tmp_path / "t.csv").write_text("\ufeff" + parted)
    ours, theirs = studies(tmp_path / "t.csv"), studies(tmp_path / "plain.csv")
    assert ours == theirs
    assert [study.report.text for study in ours] == ["Clear, or", "two\nlines"]


def test_a_header_with_commas_keeps_its_semicolons(tmp_path):
    (tmp_path / "t.csv").write_text('study_id,patient_id,image,report,"a;b"\ns1,p1,a.png,One; two.,x\n')
    (study,) = studies(tmp_path)
    assert study.report.text == "One; two."


def test_paths_of_windows_lead_to_their_images(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "odd\\name.png").touch()
    row = {**BASE, "image": "images\\a.png", "lateral": "odd\\name.png"}
    (study,) = studies(jsonl(tmp_path, row))
    assert [view.path for view in study.views] == [tmp_path / "images" / "a.png", tmp_path / "odd\\name.png"]


@pytest.mark.parametrize("name", ["123.0", "123", '"123.0"', '" 123.00 "', '"123"'])
def test_a_whole_number_is_one_name_however_it_is_written(tmp_path, name):
    row = f'{{"study_id": {name}, "patient_id": {name}, "image": "a.png", "report": "Clear."}}'
    (study,) = studies(jsonl(tmp_path, row))
    assert (study.study_id, study.patient_id) == ("123", "123")
    (tmp_path / "t.csv").write_text(f"study_id,patient_id,image,report\n{name},{name},a.png,Clear.\n")
    (same,) = studies(tmp_path / "t.csv")
    assert (same.study_id, same.patient_id) == ("123", "123")


@pytest.mark.parametrize("name", ["00123", "1.2.840.0", "12.5", "v1.0", "1e5"])
def test_other_names_stay_as_they_are(tmp_path, name):
    (study,) = studies(jsonl(tmp_path, {**BASE, "study_id": name, "patient_id": name}))
    assert (study.study_id, study.patient_id) == (name, name)


@pytest.mark.parametrize("cell", ["Small left pleural effusion.", "zebra pattern", "MRN00123", "zebrazebrazebra"])
def test_a_cell_that_is_no_mistyped_split_is_not_quoted(tmp_path, cell):
    found = flaw(jsonl(tmp_path, {**BASE, "split": cell}))
    assert f"column 'split' says {len(cell)} characters; it must be train" in found.reason
    assert cell[:6].lower() not in found.reason.lower()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{**BASE, "patient_id": ""}], "'patient_id' is empty"),
        ([BASE, {**BASE, "patient_id": "p2"}], "2 patients"),
        ([BASE, {**BASE, "report": "FINDINGS: Other."}], "2 different texts in column 'report'"),
        ([{**BASE, "split": "holdout"}], "'holdout'; it must be train"),
        ([{**BASE, "split": "train"}, {**BASE, "split": "test"}], "2 splits"),
        ([{**BASE, "question": "Why?"}], "only one of 'question' and 'answer'"),
        ([{**BASE, "turns": [{"question": "Why?"}]}], "lacks its question or its answer"),
        ([{**BASE, "turns": [3]}], "lacks its question or its answer"),
        ([{**BASE, "turns": "Why?"}], "'turns' holds a str"),
        ([{**BASE, "report": {"a": 1}}], "'report' holds a dict"),
        ([{**BASE, "image": None}], "'image' is empty"),
    ],
)
def test_a_study_that_cannot_be_used_says_why(tmp_path, rows, reason):
    found = flaw(jsonl(tmp_path, *rows))
    assert reason in found.reason
    assert found.where.startswith("studies.jsonl:1")


def test_a_broken_line_is_a_flaw_that_does_not_quote_it(tmp_path):
    jsonl(tmp_path, '{"report": "Zebra', "[1]", BASE)
    flaws = [item for item in open_source("table", tmp_path) if isinstance(item, Flaw)]
    assert [item.where for item in flaws] == ["studies.jsonl:1", "studies.jsonl:2"]
    assert "Zebra" not in str(flaws)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (Columns(study_id="id"), r"no column 'id' \(--columns.study_id\).*image, patient_id, report, study_id"),
        (Columns(lateral="side"), r"'side' \(--columns.lateral\)"),
        (Columns(report="caption"), r"'caption' \(--columns.report\)"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path, columns, said):
    with pytest.raises(SourceError, match=said):
        list(open_source("table", jsonl(tmp_path, BASE), Reading(columns)))


def test_where_the_table_may_lie(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        studies(tmp_path / "absent")
    with pytest.raises(SourceError, match=r"no .jsonl or .csv"):
        studies(tmp_path)
    jsonl(tmp_path, BASE, name="b.jsonl")
    assert len(studies(tmp_path)) == 1
    jsonl(tmp_path, BASE, name="c.jsonl")
    with pytest.raises(SourceError, match="2 tables"):
        studies(tmp_path)
    jsonl(tmp_path, BASE, name="manifest.jsonl")
    assert len(studies(tmp_path)) == 1
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(SourceError, match=r"ends in .jsonl or .csv"):
        studies(tmp_path / "x.txt")


@pytest.mark.parametrize("content", [b"", b"study_id\n\xff\xfe,\n", b'study_id,image\n"s1,a.png\n'])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SourceError, match=r"t.csv"):
        studies(tmp_path)


@given(
    st.lists(
        st.one_of(st.text(), st.dictionaries(st.sampled_from(sorted(BASE)), st.none() | st.text() | st.integers()))
    )
)
def test_any_table_gives_studies_flaws_or_one_clear_error(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("table")
    jsonl(folder, *[row if isinstance(row, str) else {**BASE, **row} for row in rows])
    try:
        found = list(open_source("table", folder))
    except SourceError:
        return
    assert all(isinstance(item, Found | Flaw) for item in found)


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real studies")
@pytest.mark.parametrize(("folder", "count"), [("open", 81), ("nc", 70)])
def test_the_real_manifests(folder, count):
    found = studies(Path(REAL or "") / folder, Columns(study_id="id", patient_id="group", licence="license"))
    assert len(found) == count
    assert all(study.views[0].path.is_file() and study.report.findings and study.licence for study in found)
