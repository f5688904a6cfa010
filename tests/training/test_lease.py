"""One live run in a directory: the second is refused and leaves nothing, a dead one is in nobody's way."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from cxr_lightning.training.job import Job
from cxr_lightning.training.lease import NAME, Holder, Lease, RunLockedError, in_use
from tests.fitting import ROOT
from tests.training.undisturbed import arguments, curve

TAKE = """
import sys, time
from pathlib import Path
from cxr_lightning.training.job import Job
from cxr_lightning.training.lease import Lease
Lease(Path(sys.argv[1]), Job("7", 0), beat=0.05)
print("taken", flush=True)
time.sleep(60)
"""
FAR = {"host": "node7", "kernel": "another", "pid": 4711, "started": "1"}


@pytest.fixture
def other(tmp_path):
    """A run directory that another process holds, and that process."""
    process = subprocess.Popen([sys.executable, "-c", TAKE, tmp_path / "run"], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"taken\n"
    yield tmp_path / "run", process
    process.kill()
    process.wait()


def hold(run, **changes):
    """Writes down a holder that this machine cannot see."""
    run.mkdir(exist_ok=True)
    holder = replace(Holder(), **{**FAR, **changes})
    (run / NAME).write_text(json.dumps(asdict(holder)))
    return holder


def take(run, job=None, **times):
    said = []
    lease = Lease(run, job, say=said.append, **{"beat": 0.05, "quiet": 0.5, **times})
    lease.release()
    return " ".join(said)


@pytest.mark.quick
def test_a_directory_is_given_back_as_it_was(tmp_path):
    lease = Lease(tmp_path / "runs" / "one")
    assert [path.name for path in (tmp_path / "runs" / "one").iterdir()] == [NAME]
    lease.release()
    assert not (tmp_path / "runs").exists()
    assert take(tmp_path) == ""
    assert tmp_path.exists()


def test_who_holds_it_is_said_and_once_it_is_dead_that_is_seen_at_once(other):
    run, process = other
    with pytest.raises(RunLockedError, match=rf"in use: process {process.pid} on .*\(job 7, .*Remedy"):
        take(run)
    assert [path.name for path in run.iterdir()] == [NAME]
    process.kill()
    process.wait()
    began = time.monotonic()
    assert "that process has ended: taken over" in take(run, quiet=60)
    assert time.monotonic() - began < 10


def test_a_process_that_was_displaced_ends(other):
    run, process = other
    (run / NAME).unlink()
    hold(run)
    assert process.wait(20) == 1


@pytest.mark.quick
def test_the_same_job_after_a_requeue_waits_for_nobody(tmp_path):
    hold(tmp_path / "run", job="12_3", restart=1)
    assert "this job before it was requeued" in take(tmp_path / "run", Job("12_3", 2), quiet=60)


@pytest.mark.quick
def test_a_holder_out_of_sight_is_watched_for_a_while(tmp_path):
    hold(tmp_path / "run")
    told = take(tmp_path / "run")
    assert "is held by process 4711 on node7" in told
    assert "nothing was heard of it for 0 s: taken over" in told
    hold(tmp_path / "run")
    os.utime(tmp_path / "run" / NAME, (0, 0))  # silent for years: no need to wait
    began = time.monotonic()
    assert "Waiting" not in take(tmp_path / "run", quiet=60)
    assert time.monotonic() - began < 10


@pytest.mark.quick
def test_a_sign_of_life_refuses(tmp_path):
    hold(tmp_path / "run")
    beat = threading.Timer(0.2, os.utime, [tmp_path / "run" / NAME])
    beat.start()
    with pytest.raises(RunLockedError, match="process 4711 on node7"):
        take(tmp_path / "run", quiet=30)


@pytest.mark.quick
def test_of_many_that_find_a_dead_holder_one_wins(tmp_path, monkeypatch):
    hold(tmp_path / "run")
    won = []

    def why_over(self, holder):  # threads, which would know each other as one process
        if holder.host == FAR["host"]:
            return "it is dead"
        raise RunLockedError("in use")

    def contend():
        with contextlib.suppress(RunLockedError):
            won.append(Lease(tmp_path / "run", beat=60, say=lambda told: None))

    monkeypatch.setattr(Lease, "_why_over", why_over)
    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (holding,) = (lease for lease in won if lease.lost() is None)  # one that was displaced again ends at its next beat
    holding.release()
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.quick
def test_a_lease_of_an_unknown_kind_is_watched_too(tmp_path):
    (tmp_path / NAME).write_text("{}[")
    assert "taken over" in take(tmp_path)


@pytest.mark.ranks
def test_a_second_run_is_refused_on_all_ranks_and_disturbs_nothing(zygote, place):
    root, name = place[0], "shared"
    # Slow enough not to be over before the second has come, on a busy machine, too.
    first = zygote.start(arguments(place, name, 20), 2, root / "first.log", faults=[["slow", {"seconds": 0.5}]])
    while not (root / name / "metrics.jsonl").exists():
        time.sleep(0.05)
    second = zygote.start(arguments(place, name, 20), 2, root / "second.log")
    assert zygote.wait(second) == [1, 1]
    assert f"RunLockedError: {root / name} is in use: process " in (root / "second.log").read_text()
    assert zygote.wait(first) == [0, 0], (root / "first.log").read_text()[-3000:]
    assert [line["step"] for line in curve(root / name) if "train/loss" in line] == list(range(1, 21))
    assert not (root / name / NAME).exists()


@pytest.mark.quick
def test_who_uses_a_directory_can_be_asked_without_taking_it(tmp_path):
    assert in_use(tmp_path, None) is None
    held = Lease(tmp_path)
    assert in_use(tmp_path, None) == held.holder
    held.release()
    assert in_use(tmp_path, None) is None
    mine = Lease(tmp_path, Job("17"))
    assert in_use(tmp_path, Job("17", 1)) is None, "the same job, before it was requeued"
    mine.release()
