"""What a run remembers of its starts, and how many of them gained nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.attempts import NAME, attempts, barren_crashes, begin, end, fruitless, requeued
from cxr_lightning.checkpoint.runs import checkpoint_folder

pytestmark = pytest.mark.quick


def save(run: Path, step: int) -> None:
    folder = checkpoint_folder(run, step)
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"weights")
    manifest.write(folder, {"weights": manifest.entry(folder / "weights")})


def test_starts_are_remembered_with_their_ends(tmp_path: Path):
    begin(tmp_path, 0, "17", 0)
    end(tmp_path, "left at step 5: SIGTERM")
    begin(tmp_path, 5, "17", 1)
    first, second = attempts(tmp_path)
    assert (first.step, first.job, first.restart, first.reason) == (0, "17", 0, "left at step 5: SIGTERM")
    assert (second.step, second.restart, second.reason) == (5, 1, "")


@pytest.mark.parametrize(
    ("starts", "newest", "barren"),
    [
        ([], 0, 0),
        ([0], 10, 0),  # saved since
        ([0], 0, 1),
        ([0, 0], 0, 2),
        ([0, 10, 10], 10, 2),
        ([0, 10, 10], 20, 0),
        ([0, 10, 20], 20, 1),
    ],
)
def test_attempts_without_a_newer_checkpoint_are_counted(starts, newest, barren, tmp_path: Path):
    for step in starts:
        begin(tmp_path, step)
    if newest:
        save(tmp_path, newest)
    assert fruitless(tmp_path) == barren


def test_half_a_line_of_a_node_that_died_is_no_error(tmp_path: Path):
    begin(tmp_path, 0)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"event": "beg')
    assert len(attempts(tmp_path)) == 1
    begin(tmp_path, 5)
    assert [each.step for each in attempts(tmp_path)] == [0, 5], "the next line is whole"


def test_a_full_disk_does_not_hide_what_was_to_be_written_down(tmp_path: Path, caplog):
    (tmp_path / NAME).symlink_to("/dev/full")
    end(tmp_path, "CheckpointNotWrittenError")
    assert "was not written" in caplog.text


def test_only_crashes_that_saved_nothing_are_counted(tmp_path: Path):
    begin(tmp_path, 0, "17", 0)
    save(tmp_path, 10)
    assert barren_crashes(tmp_path, "17", 0) == 0, "a crash after a gain"
    requeued(tmp_path, "17", 0)
    for restart in (1, 2):  # ended by Slurm, which puts the job back itself
        begin(tmp_path, 10, "17", restart)
    begin(tmp_path, 10, "17", 3)
    assert barren_crashes(tmp_path, "17", 3) == 1
    requeued(tmp_path, "17", 3)
    assert barren_crashes(tmp_path, "17", 4) == 2, "an attempt that did not come to a step"
    begin(tmp_path, 10, "17", 4)
    save(tmp_path, 20)
    assert barren_crashes(tmp_path, "17", 4) == 0


def test_a_run_that_never_began_has_no_end_to_write(tmp_path: Path):
    end(tmp_path, "failed")
    assert not (tmp_path / NAME).exists()
