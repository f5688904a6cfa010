"""What stands between submitit and a run: signals, exit codes, requeueing where the run could not."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from cxr_lightning.cluster.port import allowed
from cxr_lightning.cluster.sweeps.folder import SweepFolder, append
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.cluster.sweeps.standing import last_words, look
from cxr_lightning.cluster.sweeps.trial import TrialError, TrialJob
from cxr_lightning.durable import json_lines

NUMBERS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def scontrol(tmp_path, monkeypatch) -> Path:
    """Slurm's, as far as a job asks it about itself; it writes down what it was asked."""
    folder, asked = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    program = folder / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncase "$*" in *show*) echo JobState=$JOB_STATE;; esac\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, value in {"JOB_ID": "14", "ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "3", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("JOB_STATE", "RUNNING")
    asked.touch()
    return asked


def job(folder: Path, program: str, *, slurm: bool = False, token: str = "t") -> TrialJob:
    folder.mkdir(exist_ok=True)
    return TrialJob(folder, [sys.executable, "-c", program], token, slurm)


def events(folder: Path) -> list[tuple[str, int | None]]:
    return [(event["event"], event.get("code")) for event in json_lines(folder / "rank-0.jsonl")]


def test_the_run_says_how_it_ended(tmp_path):
    assert job(tmp_path / "a", "print('hello')")() == 0
    assert events(tmp_path / "a") == [("began", None), ("ended", 0)]
    assert last_words(tmp_path / "a" / "rank-0.log") == ["hello"]
    with pytest.raises(TrialError, match="exit code 3"):
        job(tmp_path / "b", "raise SystemExit(3)")()
    assert events(tmp_path / "b") == [("began", None), ("ended", 3)]


def test_only_the_newest_submission_runs(tmp_path):
    for token in ("old", "new"):
        append(tmp_path / "a" / "submitted.jsonl", {"token": token, "until": None})
    with pytest.raises(TrialError, match="newer submission"):
        job(tmp_path / "a", "raise SystemExit(3)", token="old")()
    assert job(tmp_path / "a", "", token="new")() == 0
    assert events(tmp_path / "a") == [("began", None), ("ended", 0)]


HEARS = (
    "import os, signal, time; signal.signal({0}, lambda *_: os._exit(9)); os.kill(os.getppid(), {0}); time.sleep(20)"
)


def test_on_this_machine_a_signal_goes_on_to_the_run(tmp_path):
    with pytest.raises(TrialError, match="exit code 9"):
        job(tmp_path / "a", HEARS.format(int(signal.SIGTERM)))()


def test_trials_on_this_machine_share_its_cores_and_know_nothing_of_a_job_around(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    mine = job(tmp_path / "a", "import os; print(*(os.environ.get(n) for n in os.environ['ASKED'].split()))")
    mine.threads = 2
    monkeypatch.setenv("ASKED", "OMP_NUM_THREADS SLURM_JOB_ID MASTER_PORT")
    mine()
    threads, slurm, port = last_words(tmp_path / "a" / "rank-0.log")[0].split()
    assert (threads, slurm) == ("2", "None")
    assert int(port) in allowed()


def test_in_a_job_slurm_signals_the_run_itself(tmp_path, scontrol):
    program = HEARS.format(int(signal.SIGUSR2)).replace("time.sleep(20)", "time.sleep(0.5)")
    assert job(tmp_path / "a", program, slurm=True)() == 0
    assert scontrol.read_text() == ""


DIES = "import os; os.kill(os.getppid(), {0}); os.kill(os.getpid(), {0})"


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_run_that_could_not_listen_yet_is_requeued_by_the_one_beside_it(number, tmp_path, scontrol):
    assert job(tmp_path / "a", DIES.format(int(number)), slurm=True)() == 0
    assert scontrol.read_text().splitlines()[-1] == "requeue 12_3"


def test_a_job_that_is_being_ended_is_not_requeued(tmp_path, scontrol, monkeypatch):
    monkeypatch.setenv("JOB_STATE", "CANCELLED")
    job(tmp_path / "a", DIES.format(int(signal.SIGTERM)), slurm=True)()
    assert "requeue" not in scontrol.read_text()


def test_submitit_is_given_the_same_job_again_by_a_signal_that_comes_too_early(tmp_path):
    mine = job(tmp_path / "a", "")
    assert mine.checkpoint().function == mine


def test_the_rank_that_failed_first_is_the_one_that_is_named(tmp_path):
    """The others are ended by srun after it, or wait for it and end with another code."""
    folder = SweepFolder(tmp_path)
    place = folder.job("x")
    append(place / "submitted.jsonl", {"token": "t", "until": None, "from": 0, "executor": "local"})
    append(place / "submitted.jsonl", {"token": "t", "job": "999999", "host": os.uname().nodename, "ticks": "1"})
    for rank, at, code in ((0, 5.0, 1), (1, 3.0, 7), (2, 4.0, 143)):
        shared = {"token": "t", "job": "", "restart": 0}
        append(folder.events("x", rank), {"event": "began", "at": 1.0, **shared})
        append(folder.events("x", rank), {"event": "ended", "at": at, "code": code, **shared})
        folder.log("x", rank).write_text(f"\x1b[31mValueError: of rank {rank}\x1b[0m\nsrun: error: task 1\n\n")
    (standing,) = look(folder, [Trial("x", {})])
    assert standing.state == "failed"
    assert standing.reason == "exit code 7: ValueError: of rank 1"
    assert standing.log.endswith("rank-1.log")


def test_half_a_line_is_no_line(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"a": 1}) + '\n{"b": ')
    assert json_lines(tmp_path / "a.jsonl") == [{"a": 1}]
    assert json_lines(tmp_path / "none.jsonl") == []
