"""Lists and tables in other encodings, cut off, or with lines without end: read, or refused by name."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import Reading, SourceError, open_source
from cxr_lightning.reports.sources.lines import LONGEST, lines
from tests.reports.sources.found import kinds, read
from tests.reports.sources.layouts import mimic_studies, write_mimic

pytestmark = pytest.mark.quick

HEAD = "study_id,patient_id,image,report\n"
TABLE = HEAD + 's1,p1,a.png,"Größe normal."\n'


def table(folder: Path, raw: bytes, name: str = "t.csv") -> Path:
    (folder / name).write_bytes(raw)
    (folder / "a.png").touch()
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_utf8_is_read_with_and_without_its_mark(tmp_path, encoding, end):
    (study,), _ = read("table", table(tmp_path, TABLE.replace("\n", end).encode(encoding)))
    assert (study.study_id, study.report.text) == ("s1", "Größe normal.")


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "looks like UTF-16.*iconv -f UTF-16"),
        ("utf-16-le", "looks like UTF-16|no column"),
        ("utf-32", "looks like UTF-32"),
        ("cp1252", r"t.csv:2: not UTF-8; it looks like CP1252 \(Latin-1, Windows\).*iconv -f CP1252"),
        ("latin-1", "looks like CP1252"),
    ],
)
def test_another_encoding_is_named(tmp_path, encoding, said):
    with pytest.raises(SourceError, match=said):
        read("table", table(tmp_path, TABLE.encode(encoding)))


def test_another_encoding_is_named_in_lists_that_are_packed(tmp_path):
    root = write_mimic(tmp_path, mimic_studies(["text"]))
    path = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    for encoding, said in (("utf-16", "UTF-16"), ("utf-8-sig", "")):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).decode().encode(encoding)))
        if said:
            with pytest.raises(SourceError, match=f"looks like {said}"):
                read("mimic-cxr-jpg", root)
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).decode(encoding).encode()))
        else:
            assert len(read("mimic-cxr-jpg", root)[0]) == 1


def test_nul_bytes_are_a_flaw_of_their_row(tmp_path):
    raw = (HEAD + "s1,p1,a.png,a\0b\n" + "s2,p1,a.png,ok\n").encode()
    kept, flaws = read("table", table(tmp_path, raw))
    assert [study.study_id for study in kept] == ["s2"]
    assert kinds(flaws) == {"row unreadable": 1}
    assert flaws[0].where == "t.csv:2"


def test_a_cell_that_is_too_large_names_its_line(tmp_path):
    with pytest.raises(SourceError, match=r"t.csv:2: not CSV \(field larger than field limit"):
        read("table", table(tmp_path, (HEAD + f"s1,p1,a.png,{'x' * 200_000}\n").encode()))
    with pytest.raises(SourceError, match=r"t.csv:\d+: not CSV"):
        read("table", table(tmp_path, (HEAD + 's1,p1,a.png,"open\n' + "s2,p1,a.png,x\n" * 20_000).encode()))


def test_a_line_without_end_is_not_held_in_memory(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"0" * 2**20)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"t.csv.gz:1: a line longer than 16 MiB"):
        list(lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LONGEST


def test_a_table_is_not_held_in_memory(tmp_path):
    rows = "".join(f"s{n},p{n},a.png,{'word ' * 800}\n" for n in range(600))
    table(tmp_path, (HEAD.replace("report", "findings") + rows).encode())
    tracemalloc.start()
    count = sum(1 for _ in open_source("table", tmp_path, Reading(images=False)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600
    assert len(rows) > 2 * 2**20
    assert peak < 2**20


def test_rows_are_read_again_at_their_bytes(tmp_path):
    rows = [(f"s{n % 5}", f'"Größe {n}\r\n, ""so"" ✓"') for n in range(40)]
    text = "study_id,patient_id,image,question,answer\n" + "".join(
        f"{s},p,a.png,{q},{n}\n" for n, (s, q) in enumerate(rows)
    )
    kept, flaws = read("table", table(tmp_path, ("\ufeff" + text).encode()))
    assert not flaws
    assert [[answer for _, answer in study.turns] for study in kept] == [
        [str(n) for n in range(s, 40, 5)] for s in range(5)
    ]
    assert kept[3].turns[0][0] == 'Größe 3\r\n, "so" ✓'


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("left", [0, 40, 300])
def test_a_table_that_changes_while_it_is_read_says_so(tmp_path, name, left):
    row = {"study_id": "s", "patient_id": "p", "image": "a.png", "report": "words " * 20}
    rows = [{**row, "study_id": f"s{n}"} for n in range(2000)]
    text = "".join(f"{','.join(row.values())}\n" for row in rows) if name == "t.csv" else ""
    raw = (HEAD + text if text else "".join(json.dumps(row) + "\n" for row in rows)).encode()
    path = table(tmp_path, raw, name) / name
    stream = open_source("table", tmp_path)
    assert next(stream)
    path.write_bytes(raw[:left])
    with pytest.raises(SourceError, match="has changed while it was read"):
        list(stream)
