"""A disk that is full while a run trains: it goes on for a while, says so, and never loses the last good checkpoint."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

import pytest

from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.runs import checkpoint_folder, checkpoints, newest_checkpoint, step_of
from cxr_lightning.training.curve import Journal
from tests.training.undisturbed import arguments, curve

PATIENT = ("--checkpoint.max_failures", "2", "--validate_every_n_steps", "99", "--data.validate_samples", "0")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file system of two megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path_factory.mktemp("small")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.ranks
def test_a_disk_that_is_full_for_a_while_costs_a_save_and_nothing_else(zygote, place, small):
    run, log = small / "a while", place[0] / "a while.log"
    there = str(checkpoint_folder(run, 2))
    fault = [["fill", {"on": 0, "folder": str(small), "full": 3, "free": 6, "after": there}]]
    given = arguments(place, "", 8, *PATIENT, "--run", str(run))
    assert zygote.wait(zygote.start(given, 2, log, faults=fault)) == [0, 0], log.read_text()[-3000:]
    told = log.read_text()
    assert f"The checkpoint {checkpoint_folder(run, 4)} of 19.0 kB was not written (rank 0 on " in told
    assert "No space left on device" in told
    assert "; 0.0 kB are free there" in told
    assert told.count("The run goes on and tries again at the next save") == 1
    assert [step_of(path) for path in checkpoints(run)] == [6, 8]
    assert [line["step"] for line in curve(run)] == list(range(1, 9))
    shutil.rmtree(run)


@pytest.mark.ranks
@pytest.mark.parametrize("background", ["true", "false"])
def test_a_disk_that_stays_full_ends_the_run_and_loses_nothing(zygote, place, small, background):
    run, log = small / "for good", place[0] / f"for good, {background}.log"
    fault = [["fill", {"on": 1, "folder": str(small), "full": 3, "after": str(checkpoint_folder(run, 2))}]]
    given = arguments(place, "", 12, *PATIENT, "--run", str(run), "--checkpoint.background", background)
    assert zygote.wait(zygote.start(given, 2, log, faults=fault)) == [1, 1], log.read_text()[-3000:]
    told = log.read_text()
    assert f"CheckpointNotWrittenError: The checkpoint {checkpoint_folder(run, 6)}" in told
    assert "2 saves in a row failed, and --checkpoint.max_failures is 2" in told
    manifest.verify(newest_checkpoint(run))
    assert newest_checkpoint(run) == checkpoint_folder(run, 2)
    assert not list((run / "checkpoints").glob("*.partial"))
    (small / "ballast").unlink()
    assert zygote.wait(zygote.start(given, 2, log)) == [0, 0], log.read_text()[-3000:]
    assert newest_checkpoint(run) == checkpoint_folder(run, 12)
    assert [line["step"] for line in curve(run)] == list(range(1, 13))
    shutil.rmtree(run)


@pytest.mark.quick
def test_lines_wait_for_room_and_none_is_cut(small, caplog):
    journal = Journal(small / "lines.jsonl")
    journal.add("first")
    with (small / "ballast").open("wb", buffering=0) as ballast:
        with contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(100))
        for number in range(3):
            journal.add("x" * 10_000 + str(number))
    assert (small / "lines.jsonl").read_text() == "first\n"
    assert caplog.text.count("its lines are kept until it can") == 1
    (small / "ballast").unlink()
    journal.add("last")
    assert [line[-1] for line in (small / "lines.jsonl").read_text().splitlines()] == ["t", "0", "1", "2", "t"]
