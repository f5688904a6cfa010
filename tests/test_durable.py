"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_lightning.durable import append, json_lines, write_text, written

pytestmark = pytest.mark.quick


def test_half_a_line_does_not_spoil_the_next(tmp_path: Path):
    file = tmp_path / "lines.jsonl"
    append(file, ['{"a": 1}'])
    with file.open("a") as torn:
        torn.write('{"b"')
    append(file, ['{"c": 3}', '{"d": 4}'])
    assert json_lines(file) == [{"a": 1}, {"c": 3}, {"d": 4}]


def test_half_a_letter_does_not_spoil_what_is_there(tmp_path: Path):
    file = tmp_path / "lines.jsonl"
    append(file, ['{"a": 1}', '{"b": "groß"}'])
    file.write_bytes(file.read_bytes()[:-4])
    assert file.read_bytes().endswith(b"gro\xc3")
    assert json_lines(file) == [{"a": 1}]
    append(file, ['{"c": "groß"}'])
    assert json_lines(file) == [{"a": 1}, {"c": "groß"}]


def test_what_is_no_table_is_left_out(tmp_path: Path):
    file = tmp_path / "lines.jsonl"
    append(file, ["5", "null", '["a"]', "[" * 20_000, '{"a": 1}'])
    assert json_lines(file) == [{"a": 1}]


def test_what_cannot_be_written_is_an_error():
    with pytest.raises(OSError, match=r"No space left.*Remedy: make room there.*/dev/full"):
        append(Path("/dev/full"), ["a line"])


@contextmanager
def longest_file(length: int) -> Iterator[None]:
    """Lets this process write no longer files, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path):
    file = tmp_path / "run.json"
    write_text(file, "one")
    with longest_file(10), pytest.raises(OSError, match=r"File too large.*Remedy: make room there.*run\.json'"):
        write_text(file, "two" * 10)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert file.read_text() == "one"


def test_a_file_is_replaced_and_leaves_nothing_beside_it(tmp_path: Path):
    write_text(tmp_path / "run.json", "one")
    write_text(tmp_path / "run.json", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "two"
    assert json_lines(tmp_path / "none.jsonl") == []


def test_a_process_of_the_same_number_elsewhere_writes_another_file(tmp_path: Path):
    """Parts of an array on two nodes, or in two containers of one: each its own file, and the last one stays whole."""
    file = f"Path({str(tmp_path)!r}) / 'plan.json'"
    ways = (f"durable.write_text({file}, 'x')", f"with durable.written({file}) as stream: stream.write('x')")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom cxr_lightning import durable\nos.getpid = lambda: 7\n"
        "sys.addaudithook(lambda name, args: name == 'open' and str(args[0]).endswith('.partial') and print(args[0]))\n"
    )
    for way in ways:
        runs = [subprocess.run([sys.executable, "-c", code + way], capture_output=True, text=True) for _ in range(2)]
        first, second = (run.stdout for run in runs)
        assert first.endswith(".partial\n"), runs[0].stderr
        assert first != second


def test_bytes_are_on_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[tuple[int, bool]] = []
    before = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, (tmp_path / "plan.json").exists()))
        before(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "plan.json", "all of it")
    assert synced == [(9, False)]


def test_a_large_file_is_there_whole_or_not_at_all(tmp_path: Path):
    file = tmp_path / "large.jsonl"
    with written(file, 0o600) as stream:
        stream.write("first\n")
        assert not file.exists()
    assert file.read_text() == "first\n"
    assert file.stat().st_mode & 0o777 == 0o600
    with contextlib.suppress(KeyError), written(file) as stream:
        stream.write("second\n")
        raise KeyError
    with pytest.raises(OSError, match=r"No such file.*Remedy"), written(tmp_path / "none" / "large.jsonl"):
        pass
    assert file.read_text() == "first\n"
    assert [each.name for each in tmp_path.iterdir()] == ["large.jsonl"]
