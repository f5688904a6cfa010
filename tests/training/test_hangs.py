"""A rank that hangs is found, all are traced, and the run ends within its time; what is only slow is left alone."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from cxr_lightning.checkpoint.attempts import attempts
from cxr_lightning.training import pulse, stacks
from cxr_lightning.training.stacks import Trace
from cxr_lightning.training.verdict import verdict
from cxr_lightning.training.watchdog import STATUS, Peer, Watchdog
from tests.training.undisturbed import arguments

SOON = ("--watchdog.timeout_s", "3", "--watchdog.slow_timeout_s", "60")
HERE = socket.gethostname()


def traces(run: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (run / "hangs").rglob("*.txt")}


@pytest.mark.ranks
def test_a_rank_that_waits_for_ever_is_named_with_the_stacks_of_all(zygote, place):
    root, log = place[0], place[0] / "hangs.log"
    hang = [["hang", {"on": 1, "steps": [3]}]]
    group = zygote.start(arguments(place, "hangs", 8, *SOON), 2, log, faults=hang)
    assert zygote.wait(group) == [STATUS, STATUS], log.read_text()[-3000:]
    told = traces(root / "hangs")
    assert set(told) == {"rank-0.txt", "rank-1.txt", "verdict.txt"}
    assert "faults.py" in told["rank-1.txt"], "where it hangs"
    assert "all_reduce" in told["rank-0.txt"], "where the other waits"
    assert "Thread" in told["rank-0.txt"], "all of its threads"
    said = told["verdict.txt"]
    assert f"rank 1 on {HERE} does not come to where the others wait" in said
    assert "rank 0: in all_reduce (distributed_c10d.py:" in said
    assert log.read_text().count("Training made no move for") == 1
    assert attempts(root / "hangs")[-1].reason.startswith("Training made no move for")


@pytest.mark.ranks
def test_rank_0_stopped_is_found_and_ended_though_it_can_say_nothing(zygote, place):
    """It holds the store of the process group, speaks for all, and started the others: none of it is needed."""
    root, log = place[0], place[0] / "stopped.log"
    faults = [["stop", {"on": 0, "steps": [3], "after": str(root / "stopped" / "pulse" / "rank-0")}]]
    group = zygote.start(arguments(place, "stopped", 8, *SOON), 2, log, faults=faults)
    assert zygote.wait(group) == [-signal.SIGKILL, STATUS], log.read_text()[-3000:]
    told = traces(root / "stopped")
    assert set(told) == {"rank-0.txt", "rank-1.txt", "verdict.txt"}
    assert f"rank 0 on {HERE} fell silent" in told["verdict.txt"]
    assert re.search(r"last said: (beginning to train|step|after step|saving after step)", told["rank-0.txt"]), (
        "its last word, of three a second: it may have come to step 3 between two"
    )
    assert "is T (stopped)" in told["rank-0.txt"]
    assert "all_reduce" in told["rank-1.txt"]


@pytest.mark.ranks
def test_c_code_that_keeps_the_interpreter_is_traced_by_a_neighbour(zygote, place):
    root, log = place[0], place[0] / "kept.log"
    group = zygote.start(arguments(place, "kept", 8, *SOON), 2, log, faults=[["keep", {"on": 1, "steps": [3]}]])
    assert zygote.wait(group) == [STATUS, -signal.SIGKILL], log.read_text()[-3000:]
    told = traces(root / "kept")
    assert f"rank 1 on {HERE} fell silent" in told["verdict.txt"]
    assert "most recent call first" in told["rank-1.txt"]
    assert "faults.py" in told["rank-1.txt"], "where it hangs"


@pytest.mark.ranks
def test_a_disk_that_hangs_while_the_model_is_loaded_ends_the_run_too(zygote, place):
    log = place[0] / "stuck.log"
    soon = ("--trainer.devices", "1", "--watchdog.timeout_s", "3", "--watchdog.slow_timeout_s", "4")
    assert zygote.wait(zygote.start(arguments(place, "stuck", 8, *soon), 1, log, faults=[["stick", {}]])) == [STATUS]
    assert f"Rank 0 on {HERE} made no move for" in log.read_text()
    assert "in never" in log.read_text(), "the stacks are in the log at least"


@pytest.mark.ranks
def test_what_is_slow_suspended_or_looked_into_is_no_hang(zygote, place):
    root, log = place[0], place[0] / "slow.log"
    slow = [
        ["hang", {"on": 1, "steps": [1], "seconds": 5}], ["hang", {"on": 0, "steps": [3], "seconds": 0.5}],
        ["look_into", {"on": 0, "steps": [8], "seconds": 2.5}],
    ]  # fmt: skip
    group = zygote.start(arguments(place, "slow", 10, *SOON), 2, log, faults=slow)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (root / "slow" / "checkpoints" / "step-0000004").exists():
        time.sleep(0.02)
    os.killpg(group, signal.SIGSTOP)  # a job that Slurm suspends
    time.sleep(6)
    os.killpg(group, signal.SIGCONT)
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert not (root / "slow" / "hangs").exists()
    assert not (root / "slow" / "pulse").exists(), "an orderly end leaves no pulse"


def trace(rank: int, moves: int = 9, *, waits: bool = True, silent: bool = False, where: str = "all_reduce") -> Trace:
    return Trace(rank, "elsewhere", 1, moves, "step 7, micro-batch 13", 601.0, where, waits, silent)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([trace(0), trace(1, silent=True, where="is T (stopped)"), trace(2)], "rank 1 on elsewhere fell silent"),
        ([trace(0), trace(1, 8), trace(2)], "rank 1 on elsewhere is behind, and the others wait"),
        ([trace(0), trace(1), trace(2, waits=False)], "rank 2 on elsewhere does not come to where the others wait"),
        ([trace(0), trace(1), trace(2)], "no rank comes on"),
    ],
)
def test_the_verdict_names_whom_the_others_wait_for(found, told):
    said = verdict(found, 601.0, Path("hangs"), STATUS)
    assert told in said
    assert "Remedy" in said


@pytest.mark.quick
def test_a_verdict_on_a_thousand_ranks_is_short():
    found = [trace(rank, where="wait" if rank % 500 == 7 else "all_reduce", silent=rank < 20) for rank in range(1000)]
    said = verdict(found, 601.0, Path("hangs"), STATUS)
    assert "rank 0 on elsewhere, rank 1 on elsewhere, rank 2 on elsewhere, rank 3 on elsewhere and 16 more fell" in said
    assert "rank 20-506, 508-999: in all_reduce" in said
    assert len(said) < 1200


@pytest.mark.quick
def test_a_trace_comes_back_and_shows_every_thread(tmp_path):
    mine = stacks.own(3, 17, "step 4, micro-batch 7", 12.0)
    stacks.write(tmp_path, mine)
    assert stacks.read(tmp_path) == [mine]
    assert stacks.wrote(tmp_path) == {3}
    text = (tmp_path / "rank-3.txt").read_text()
    assert f"rank 3 on {HERE}, process {os.getpid()}: step 4, micro-batch 7, for 12 s" in text
    assert mine.where.startswith("own (stacks.py:")
    assert "test_a_trace_comes_back_and_shows_every_thread" in text
    assert "The training's thread (most recent call last):" in text
    assert not stacks.debugged()


@pytest.mark.quick
def test_a_rank_that_nobody_can_see_is_written_for_with_its_node(tmp_path):
    watchdog = Watchdog(str(tmp_path), timeout_s=1)
    watchdog._peers = [Peer(), Peer(host="node7", process=4711, started="1", kernel="another")]
    watchdog._folder = tmp_path / "hangs"
    watchdog._folder.mkdir()
    (tmp_path / "pulse").mkdir()
    pulse.tell(tmp_path, 1, 12, "step 4, micro-batch 7", 0.0)
    stacks.write(watchdog._folder, stacks.own(0, 14, "step 5, micro-batch 8", 12.0))
    watchdog._speak(12.0)
    said = (watchdog._folder / "verdict.txt").read_text()
    assert "rank 1 on node7 fell silent" in said
    assert "last said: step 4, micro-batch 7; its process 4711 cannot be seen from another node" in said


@pytest.mark.quick
def test_what_is_long_by_nature_has_more_time():
    watchdog = Watchdog("run", timeout_s=600, slow_timeout_s=3600)
    watchdog._mark("a step")
    assert watchdog._move[3] == 600
    watchdog._mark("a save", slow=True)
    assert watchdog._move[3] == 3600
    assert Watchdog("run", timeout_s=7200).slow_timeout_s == 7200
