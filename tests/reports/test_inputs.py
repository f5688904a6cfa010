"""No verb that writes texts replaces what it reads, whatever it is told to overwrite, and says so in plain words."""

from __future__ import annotations

import json
import os

import pytest

from cxr_lightning import cli
from cxr_lightning.reports.extraction import reports
from cxr_lightning.reports.outside import lies_in
from cxr_lightning.reports.summaries.trouble import SummariesError
from cxr_lightning.reports.summaries.verb import summarize

pytestmark = pytest.mark.quick
ROWS = 'study_id,patient_id,report\n1,a,"FINDINGS: The lungs are clear."\n'
LINE = {
    "study_id": "1",
    "findings": "The lungs are clear.",
    "impression": "Normal.",
    "text": "The lungs are clear. Normal.",
    "kept": True,
    "source": "table",
}


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "archive" / "studies.csv"
    file.parent.mkdir()
    file.write_text(ROWS)
    return file


@pytest.fixture
def lines(tmp_path):
    file = tmp_path / "reports.jsonl"
    file.write_text(json.dumps(LINE) + "\n")
    return file


def ways_to(file, folder):
    """Gives other names of a file: over a link to it, a link to its folder, a dot, another hard link."""
    (folder / "link.csv").symlink_to(file)
    (folder / "there").symlink_to(file.parent)
    (folder / "hard.csv").hardlink_to(file)
    yield from (file, folder / "link.csv", folder / "there" / file.name, file.parent / "." / file.name)
    yield folder / "hard.csv"
    yield file.parent / "x" / ".." / file.name


def test_reports_do_not_replace_the_table(table, tmp_path):
    for out in ways_to(table, tmp_path):
        with pytest.raises(ValueError, match="is the input"):
            reports("table", table, out=out, overwrite=True)
        assert table.read_text() == ROWS


def test_reports_are_not_written_into_the_archive(table, tmp_path):
    (tmp_path / "there").symlink_to(table.parent)
    for root in (table.parent, tmp_path / "there"):
        for out in (table.parent / "reports.jsonl", tmp_path / "there" / "reports.jsonl", table):
            with pytest.raises(ValueError, match="lies in it"):
                reports("table", root, out=out, overwrite=True)
    assert [path.name for path in table.parent.iterdir()] == ["studies.csv"]
    assert table.read_text() == ROWS


def test_reports_beside_the_archive_are_written(table, tmp_path):
    reports("table", table.parent, out=tmp_path / "reports.jsonl")
    reports("table", table, out=table.parent / "reports.jsonl", overwrite=True)
    assert (tmp_path / "reports.jsonl").read_text() == (table.parent / "reports.jsonl").read_text() != ""


def test_the_command_line_says_it(table, capsys):
    assert cli.run(["reports", "table", str(table), "--out", str(table), "--overwrite", "true"]) == 1
    assert "give an --out elsewhere" in capsys.readouterr().err
    assert table.read_text() == ROWS


def test_summaries_do_not_replace_the_reports(lines, tmp_path):
    before, elsewhere = lines.read_text(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    for out in ways_to(lines, elsewhere):
        with pytest.raises(SummariesError, match=r"Remedy: another --out"):
            summarize(lines, out=out, overwrite=True)
        assert lines.read_text() == before


def test_the_journal_of_summaries_does_not_grow_into_the_reports(tmp_path):
    kept = tmp_path / "made.jsonl.journal"
    kept.write_text(json.dumps(LINE) + "\n")
    with pytest.raises(SummariesError, match=r"made\.jsonl\.journal: is the file of reports"):
        summarize(kept, out=tmp_path / "made.jsonl", overwrite=True)
    assert json.loads(kept.read_text()) == LINE


def test_summaries_elsewhere_are_written(lines, tmp_path):
    summarize(lines, out=tmp_path / "made.jsonl")
    assert json.loads((tmp_path / "made.jsonl").read_text())["summary"] == LINE["text"]


@pytest.mark.parametrize("name", ["folder", "nothing"])
def test_what_is_no_file_of_reports_is_named_with_its_remedy(tmp_path, capsys, name):
    (tmp_path / "folder").mkdir()
    assert cli.run(["summarize", str(tmp_path / name), "--out", str(tmp_path / "a.jsonl")]) == 1
    told = capsys.readouterr().err
    assert f"{name}: is" in told
    assert "Remedy: the file that `cxr reports" in told
    assert "Errno" not in told


def test_a_folder_is_no_place_for_summaries(lines, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SummariesError, match="name a file as --out"):
        summarize(lines, out=tmp_path / "folder", overwrite=True)


def test_links_in_a_circle_are_no_input(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not lies_in(tmp_path / "a" / "x", tmp_path / "c")
    assert not lies_in(tmp_path / "c", tmp_path / "cc")
    assert lies_in(tmp_path / "c" / "x", tmp_path / "c")
    assert os.path.lexists(tmp_path / "a")
