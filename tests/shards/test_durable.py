"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr_lightning.shards.durable import append, json_lines, write_text

pytestmark = pytest.mark.quick


def test_half_a_line_does_not_spoil_the_next(tmp_path: Path):
    file = tmp_path / "lines.jsonl"
    append(file, ['{"a": 1}'])
    with file.open("a") as torn:
        torn.write('{"b"')
    append(file, ['{"c": 3}', '{"d": 4}'])
    assert json_lines(file) == [{"a": 1}, {"c": 3}, {"d": 4}]


def test_what_cannot_be_written_is_an_error():
    with pytest.raises(OSError, match="No space left"):
        append(Path("/dev/full"), ["a line"])


def test_a_file_is_replaced_and_leaves_nothing_beside_it(tmp_path: Path):
    write_text(tmp_path / "run.json", "one")
    write_text(tmp_path / "run.json", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "two"
    assert json_lines(tmp_path / "none.jsonl") == []
