"""A run that is killed anywhere and started again ends as the undisturbed one: weights, curve and samples bit-equal."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.runs import checkpoint_folder, newest_checkpoint, step_of
from tests.training.undisturbed import arguments, assert_same_end, run_whole

KILLS = int(os.environ.get("CXR_KILLS", "20"))
STEPS = 4 * KILLS


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * KILLS)
def test_killed_at_random_moments_a_run_ends_as_if_nothing_had_been(zygote, place):
    """SIGKILL to all ranks: in steps, in saves (one every second step), in validation (every third)."""
    whole = run_whole(zygote, place, "undisturbed", STEPS)
    root, run = place[0], place[0] / "killed"
    (root / "killed seen").mkdir()
    moments, kills, newest, places = random.Random(20), 0, 0, Counter()
    while True:
        before = (run / "metrics.jsonl").stat().st_mtime_ns if (run / "metrics.jsonl").exists() else 0
        group = zygote.start(arguments(place, "killed", STEPS), 2, root / "killed.log", seen=str(root / "killed seen"))
        if kills < KILLS:
            _wait_for_steps(run / "metrics.jsonl", before)
            time.sleep(moments.uniform(0, 0.3))
            os.killpg(group, signal.SIGKILL)
        codes = zygote.wait(group)
        if codes == [0, 0]:
            break
        assert codes == [-9, -9], (root / "killed.log").read_text()[-3000:]
        kills += 1
        places[_where((root / "killed seen" / "phase-0").read_text())] += 1
        left = newest_checkpoint(run)
        if left is not None:
            manifest.verify(left)
            assert step_of(left) >= newest, "a complete checkpoint was lost"
            newest = step_of(left)
    print(f"{kills} kills of rank 0 fell: {dict(places)}")
    assert kills >= KILLS * 3 // 4, f"the run ended after {kills} kills: it is too short for the test"
    assert_same_end(place, whole, run, STEPS)


def _where(phase: str) -> str:
    main = {"t": "in a step", "v": "in validation"}.get(phase[:1], "before the first step")
    return f"{main} and a save" if phase[1:] == "s" else main


def _wait_for_steps(file: Path, before: int) -> None:
    """Waits until a started run writes its first line: earlier it only imports and loads."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if file.exists() and file.stat().st_mtime_ns > before and file.stat().st_size:
            return
        time.sleep(0.005)
    raise AssertionError("the run made no step in two minutes")


@pytest.mark.ranks
@pytest.mark.parametrize("background", ["true", "false"])
def test_killed_at_each_place_of_a_save(zygote, place, background):
    """While files are written, before manifest and name, before the old ones go, in validation, in a step."""
    steps, more = 12, ("--checkpoint.background", background)
    whole = run_whole(zygote, place, f"in one go, {background}", steps, *more)
    root, name = place[0], f"killed in saves, {background}"
    (root / f"{name} seen").mkdir()
    deaths = [("file", 1, 1), ("file", 2, 0), ("manifest", 2, 0), ("publish", 1, 0), ("named", 1, 0), ("retain", 2, 0),
              ("validation", 2, 1), ("step", 5, 0)]  # fmt: skip
    for at, call, rank in deaths:
        die = {"at": at, "call": call, "rank": rank}
        group = zygote.start(
            arguments(place, name, steps, *more), 2, root / f"{name}.log", seen=str(root / f"{name} seen"), die=die
        )
        codes = zygote.wait(group)
        assert codes == [-9, -9], (at, (root / f"{name}.log").read_text()[-3000:])
    group = zygote.start(arguments(place, name, steps, *more), 2, root / f"{name}.log", seen=str(root / f"{name} seen"))
    assert zygote.wait(group) == [0, 0], (root / f"{name}.log").read_text()[-3000:]
    assert_same_end(place, whole, root / name, steps)


@pytest.mark.ranks
@pytest.mark.parametrize("background", ["true", "false"])
def test_a_full_disk_on_one_rank_ends_the_run_on_all_and_loses_nothing(zygote, place, background):
    """The rank that has no room says so on every rank: none waits for it, and what was complete stays."""
    root, name, more = place[0], f"full, {background}", ("--checkpoint.background", background)
    run_whole(zygote, place, name, 4, *more)
    left = newest_checkpoint(root / name)
    log = root / f"{name} again.log"
    began = time.monotonic()
    room = {"rank": 1, "bytes": 5_000}
    codes = zygote.wait(zygote.start(arguments(place, name, 8, *more), 2, log, full=room))  # 6 is tried, and 8
    assert codes == [1, 1]
    assert time.monotonic() - began < 60
    # Said by rank 0; what rank 1 writes to the log is cut off by the same limit.
    assert f"step-0000008 of 19.0 kB was not written (rank 1 on {socket.gethostname()}: " in log.read_text()
    assert newest_checkpoint(root / name) == left
    manifest.verify(left)
    assert not list((root / name / "checkpoints").glob("*.partial"))
    assert zygote.wait(zygote.start(arguments(place, name, 8, *more), 2, log)) == [0, 0]  # with room again
    assert newest_checkpoint(root / name) == checkpoint_folder(root / name, 8)


@pytest.mark.ranks
def test_ranks_that_found_different_checkpoints_refuse_to_begin(zygote, place):
    """A disk that one node sees late: trained on, the ranks would stand at two places of the stream."""
    whole = run_whole(zygote, place, "seen late", 4)
    log = place[0] / "apart.log"
    apart = {str(rank): ["--ckpt_path", str(checkpoint_folder(whole, step))] for rank, step in enumerate((4, 3))}
    codes = zygote.wait(zygote.start(arguments(place, "apart", 8), 2, log, apart=apart))
    assert codes == [1, 1]
    assert "RanksDisagreeError" in log.read_text()
    assert "rank 0: step-0000004" in log.read_text()
    assert not (place[0] / "apart").exists()
