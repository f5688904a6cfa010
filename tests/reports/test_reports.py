"""`cxr reports` writes a line a study, whole or not at all, and tells what was left out and what cleaning missed."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest

from cxr_lightning import cli
from cxr_lightning.reports import extraction
from cxr_lightning.reports.extraction import NOTHING_LEFT, extract, reports
from cxr_lightning.reports.policy import LENIENT, Policy
from cxr_lightning.study import Report, Study
from tests.reports.sources.layouts import mimic_studies, mimic_text, write_mimic_reports

FIELDS = ["study_id", "patient_id", "indication", "technique", "comparison", "findings", "impression"]
FIELDS += ["amended", "text", "kept", "reason", "source"]
FINDINGS = "The heart is normal in size and unchanged from ___. There is a small left pleural effusion today."


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def archive(tmp_path):
    texts = [
        mimic_text(FINDINGS, "Small effusion.", indication="___ year old with cough", comparison="___"),
        mimic_text(FINDINGS, "Normal."),
        mimic_text("", "No acute process."),
        " ADDENDUM:\n IMPRESSION: Small left effusion.\n" + f" {'_' * 78}\n" + mimic_text(FINDINGS, "Right effusion."),
        mimic_text("No change since ___. " * 4, "No change."),
    ]
    return write_mimic_reports(tmp_path / "mimic", mimic_studies(texts))


def test_a_line_for_each_study(archive, tmp_path, capsys):
    out = tmp_path / "reports.jsonl"
    reports("mimic-cxr", archive, out=out)
    found = lines_of(out)
    assert [list(line) for line in found] == [FIELDS] * 5
    assert [line["reason"] for line in found] == [
        "", "impression shorter than 2 words", "findings missing", "", NOTHING_LEFT,
    ]  # fmt: skip
    assert [line["kept"] for line in found] == [True, False, False, True, False]
    first = found[0]
    assert (first["study_id"], first["patient_id"], first["source"]) == ("50000000", "10000032", "mimic-cxr")
    assert first["findings"] == FINDINGS
    assert first["indication"] == "___ year old with cough"
    assert first["text"] == "The heart is normal in size. There is a small left pleural effusion."
    assert found[3]["impression"] == "Small left effusion."
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    told = " ".join(capsys.readouterr().err.split())
    for words in (
        "5 reports, 2 kept",
        "impression shorter than 2 words",
        "1 report has an addendum",
        "priors",
        "median",
    ):
        assert words in told
    assert "effusion" not in told
    assert "10000032" not in told


def test_a_report_that_is_corrected_in_prose_is_told_and_left_out(tmp_path):
    said = " ADDENDUM: There is a small right apical pneumothorax, which was missed.\n"
    texts = [said + f" {'_' * 78}\n" + mimic_text(FINDINGS, "Small effusion."), mimic_text(FINDINGS, "Small effusion.")]
    archive, out = write_mimic_reports(tmp_path / "mimic", mimic_studies(texts)), tmp_path / "reports.jsonl"
    reports("mimic-cxr", archive, out=out)
    assert [line["amended"] for line in lines_of(out)] == [True, False]
    assert [line["reason"] for line in lines_of(out)] == ["amended in an addendum", ""]
    words = ["reports", "mimic-cxr", str(archive), "--out", str(out), "--overwrite", "true"]
    assert cli.run([*words, "--policy.amended", "true"]) == 0
    assert [line["kept"] for line in lines_of(out)] == [True, True]


def test_rules_are_options_of_the_command_line(archive, tmp_path):
    out = tmp_path / "reports.jsonl"
    words = ["reports", "mimic-cxr", str(archive), "--out", str(out), "--limit", "3"]
    assert cli.run([*words, "--policy.both", "false", "--policy.impression_words", "1"]) == 0
    assert [line["kept"] for line in lines_of(out)] == [True, True, True]
    assert cli.run(words) == 1
    assert cli.run([*words, "--overwrite", "true"]) == 0
    assert [line["kept"] for line in lines_of(out)] == [True, False, False]


def test_a_table_is_read_by_its_columns_and_kept_as_it_is(tmp_path, capsys):
    table = tmp_path / "studies.csv"
    table.write_text('study_id,patient_id,words\n1,a,"FINDINGS: Clear."\n2,b,\n3,,"Clear."\n')
    out = tmp_path / "reports.jsonl"
    words = ["reports", "table", str(table), "--out", str(out)]
    assert cli.run([*words, "--columns.report", "words"]) == 0
    kept = {line["study_id"]: line["kept"] for line in lines_of(out)}
    assert kept["1"]
    assert "no line written" in capsys.readouterr().err


@pytest.mark.parametrize("rows", ["", "study_id,patient_id,report\n"])
def test_what_fails_leaves_nothing_behind(tmp_path, rows):
    table = tmp_path / "studies.csv"
    table.write_text(rows)
    out = tmp_path / "reports.jsonl"
    out.write_text("before")
    with pytest.raises(ValueError, match=r"studies\.csv"):
        reports("table", table, out=out, overwrite=True)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports.jsonl", "studies.csv"]


@pytest.mark.parametrize(("option", "value"), [("limit", 0), ("workers", 0)])
def test_options_out_of_range_are_refused(tmp_path, option, value):
    with pytest.raises(ValueError, match="1 or more"):
        reports("table", tmp_path, out=tmp_path / "x.jsonl", **{option: value})


def test_more_processes_write_the_same(archive, tmp_path):
    for workers in (1, 2):
        reports("mimic-cxr", archive, out=tmp_path / f"{workers}.jsonl", workers=workers)
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_memory_does_not_grow_with_the_archive(monkeypatch, tmp_path):
    alive = most = 0

    class Counted(str):
        def __new__(cls, text):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().__new__(cls, text)

        def __del__(self):
            nonlocal alive
            alive -= 1

    def studies(root, reading):
        for number in range(5000):
            report = Report(text=Counted(f"{FINDINGS} {number}"), findings=FINDINGS, impression="Small effusion.")
            yield extraction.Found(Study(str(number), "p", (), report, "made"), "here")

    source = extraction.source_named("openi")
    monkeypatch.setattr(extraction, "source_named", lambda name: type(source)("made", studies, lambda root: []))
    reports("made", tmp_path / "made", out=tmp_path / "x.jsonl", workers=1)
    assert len(lines_of(tmp_path / "x.jsonl")) == 5000
    assert most < 1500


def test_texts_that_no_encoding_knows_are_written():
    batch = extract([Study("1", "p", (), Report(findings="Clear \ud800 lungs."), "made")], LENIENT)
    assert json.loads(batch.lines[0])["findings"] == "Clear \ud800 lungs."
    assert extract([], Policy()).reasons == {}


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("CXR_REAL_DATA"), reason="CXR_REAL_DATA names no folder of real reports")
def test_open_i_is_kept_as_the_rules_say_and_cleaned_of_priors(tmp_path):
    out = tmp_path / "reports.jsonl"
    reports("openi", extraction.Path(os.environ["CXR_REAL_DATA"]) / "openi", out=out, workers=1)
    found = lines_of(out)
    both = [line for line in found if line["findings"] and line["impression"]]
    kept = [line for line in found if line["kept"]]
    left = extraction.Residue()
    for line in kept:
        left.add(line["text"])
    print(
        f"{len(found)} read, {len(both)} with both sections, {len(kept)} kept, residue {left.shares}", file=sys.stderr
    )
    assert (len(found), len(both), len(kept)) == (2998, 2656, 2643)
    assert left.shares["priors"] < 0.01
    assert left.shares["blanks"] == 0


def test_headings_that_nobody_knows_are_told_where_they_recur(tmp_path, capsys):
    text = "BEFUND: The heart is normal in size.\nBEURTEILUNG: No acute disease.\n"
    rows = [{"study_id": f"s{n}", "patient_id": f"p{n}", "report": text} for n in range(8)]
    rows[0]["report"] = f"{text}FICTITIOUS: signed.\n"
    rows += [{"study_id": "e", "patient_id": "e", "report": "FINDINGS: PLEURA: no effusion.\nIMPRESSION: Normal.\n"}]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reports("table", tmp_path / "in" / "t.jsonl", out=tmp_path / "out.jsonl")
    told = " ".join(capsys.readouterr().err.split())
    assert "Headings that are not known, and the reports that have them: BEFUND (8), BEURTEILUNG (8)." in told
    assert "FICTITIOUS" not in told
    assert "PLEURA" not in told
