"""A rank that hangs is found, all are traced, and the run ends within its time; what is only slow is left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cxr_lightning.checkpoint.attempts import attempts
from cxr_lightning.training.pulse import Beat, beats
from cxr_lightning.training.watchdog import STATUS, Watchdog, verdict
from tests.training.undisturbed import arguments

SOON = ("--watchdog.timeout_s", "4", "--watchdog.slow_timeout_s", "12")


def traces(run: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (run / "hangs").rglob("*.txt")}


@pytest.mark.ranks
def test_a_rank_that_waits_for_ever_is_named_with_the_stacks_of_all(zygote, place):
    root, log = place[0], place[0] / "hangs.log"
    began = time.monotonic()
    hang = [["hang", {"on": 1, "steps": [3]}]]
    group = zygote.start(arguments(place, "hangs", 8, *SOON), 2, log, faults=hang)
    assert zygote.wait(group) == [STATUS, STATUS], log.read_text()[-3000:]
    assert time.monotonic() - began < 60
    told = traces(root / "hangs")
    assert set(told) == {"rank-0.txt", "rank-1.txt", "verdict.txt"}
    assert "rank 1" in told["rank-1.txt"]
    assert "faults.py" in told["rank-1.txt"], "where it hangs"
    assert "all_reduce" in told["rank-0.txt"], "where the other waits"
    assert "Training made no move for" in log.read_text()
    assert attempts(root / "hangs")[-1].reason.startswith("Training made no move for")


@pytest.mark.ranks
def test_a_stopped_rank_is_found_and_ended_though_it_can_say_nothing(zygote, place):
    root, log = place[0], place[0] / "stopped.log"
    group = zygote.start(arguments(place, "stopped", 2000, *SOON), 2, log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(beats(root / "stopped")) < 2:
        time.sleep(0.1)
    victim = beats(root / "stopped")[1]
    os.kill(victim.process, signal.SIGSTOP)
    assert zygote.wait(group) == [STATUS, -signal.SIGKILL], log.read_text()[-3000:]
    told = traces(root / "stopped")
    assert set(told) == {"rank-0.txt", "verdict.txt"}
    assert f"rank 1 on {victim.host} fell silent" in told["verdict.txt"]
    assert "its process is T (stopped)" in told["verdict.txt"]


@pytest.mark.ranks
def test_a_slow_first_step_and_a_pause_of_all_ranks_are_no_hang(zygote, place):
    root, log = place[0], place[0] / "slow.log"
    slow = [["hang", {"on": 1, "steps": [1], "seconds": 6}], ["hang", {"on": 0, "steps": [4], "seconds": 2}]]
    group = zygote.start(arguments(place, "slow", 30, *SOON), 2, log, faults=slow)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (root / "slow" / "checkpoints" / "step-0000006").exists():
        time.sleep(0.02)
    os.killpg(group, signal.SIGSTOP)  # a job that Slurm suspends
    time.sleep(7)
    os.killpg(group, signal.SIGCONT)
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert not (root / "slow" / "hangs").exists()
    assert not (root / "slow" / "pulse").exists(), "an orderly end leaves no pulse"


def beat(rank: int, moves: int, doing: str = "step 7, micro-batch 13", host: str = "elsewhere") -> Beat:
    return Beat(rank, host, 1, moves, doing, since=0.0, at=0.0)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("moves", "awake", "told"),
    [
        ([9, 9, 9], {0, 2}, "rank 1 on elsewhere fell silent"),
        ([9, 8, 9], {0, 1, 2}, "rank 1 on elsewhere is behind, and the others wait"),
        ([9, 9, 9], {0, 1, 2}, "all ranks are in the same step"),
        (
            [9] * 8,
            {0, 1},
            "rank 2 on elsewhere, rank 3 on elsewhere, rank 4 on elsewhere, rank 5 on elsewhere and 2 more",
        ),
    ],
)
def test_the_verdict_names_whom_the_others_wait_for(moves, awake, told):
    said = verdict([beat(rank, count) for rank, count in enumerate(moves)], awake, 601.0, Path("hangs"))
    assert told in said
    assert "Remedy" in said


@pytest.mark.quick
def test_what_is_long_by_nature_has_more_time():
    watchdog = Watchdog("run", timeout_s=600, slow_timeout_s=3600)
    watchdog._mark("a step")
    assert watchdog._move[3] == 600
    watchdog._mark("a save", slow=True)
    assert watchdog._move[3] == 3600
    assert Watchdog("run", timeout_s=7200).slow_timeout_s == 7200
