"""Whether a job goes back into the queue. Slurm itself answers in tests/slurm; here a script stands in for scontrol."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cxr_lightning.checkpoint.attempts import begin, end
from cxr_lightning.cluster.requeue import requeue
from cxr_lightning.training.job import Job, RequeueError
from tests.checkpoint.test_attempts import save

pytestmark = pytest.mark.quick

SCONTROL = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *"show job"*) echo "JobId=17 JobState={state} EndTime=2026-11-22T10:00:00" ;; esac
exit {status}
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes this process a job's, and scontrol a script that writes down what it was asked."""

    def make(state: str = "RUNNING", status: int = 0) -> Path:
        (tmp_path / "bin").mkdir()
        script, calls = tmp_path / "bin" / "scontrol", tmp_path / "calls"
        script.write_text(SCONTROL.format(calls=calls, state=state, status=status))
        script.chmod(0o755)
        calls.touch()
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
        for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
            monkeypatch.delenv(name, raising=False)
        return calls

    return make


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that is 30 steps under way in this attempt, and saved 10 of them."""
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", 20, "17", 2)
    save(tmp_path / "run", 30)
    return tmp_path / "run"


def test_a_crash_after_a_gain_goes_back(slurm, run: Path, capsys):
    calls = slurm()
    requeue(["--status", "137", "--config", "configs/stage1.yaml", "--run", str(run), "--model.optim.lr", "1e-3"])
    assert calls.read_text().splitlines()[-1] == "requeue 17"
    assert "ended with status 137; job 17 is back in the queue" in capsys.readouterr().err


def test_a_task_of_an_array_has_a_name_of_its_own(slurm, monkeypatch):
    slurm()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "16")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert Job.here() == Job("16_3", 2)


def test_what_never_came_to_a_step_does_not_go_back(slurm, tmp_path: Path):
    calls = slurm()
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run", 0, "16", 0)  # another job did
    with pytest.raises(RequeueError, match="made no step"):
        requeue(["--run", str(tmp_path / "run")])
    assert "requeue" not in calls.read_text()


def test_a_crash_loop_ends_with_the_reason(slurm, run: Path):
    slurm()
    for again in (True, False):
        begin(run, 30, "17", 2)
        end(run, "RuntimeError: something that comes again")
        if again:
            requeue(["--run", str(run)])
    with pytest.raises(RequeueError, match=r"2 attempts in a row saved nothing.*something that comes again"):
        requeue(["--run", str(run)])


def test_a_job_that_is_being_cancelled_stays_cancelled(slurm, run: Path):
    calls = slurm("CANCELLED")
    with pytest.raises(RequeueError, match="CANCELLED"):
        requeue(["--run", str(run)])
    assert "requeue" not in calls.read_text()


def test_a_refusal_of_slurm_is_told_with_what_to_do(slurm, run: Path):
    slurm(status=1)
    with pytest.raises(RequeueError, match="submit it again"):
        requeue(["--run", str(run)])


def test_the_run_may_stand_in_a_configuration(slurm, run: Path, tmp_path: Path):
    calls = slurm()
    (tmp_path / "mine.yaml").write_text(f"run: {run}\n")
    requeue(["--config", str(tmp_path / "mine.yaml")])
    assert "requeue 17" in calls.read_text()
    with pytest.raises(RequeueError, match="add --run"):
        requeue(["--config", "configs/stage1.yaml"])


def test_the_last_word_about_the_run_wins(slurm, run: Path, tmp_path: Path, capsys):
    slurm()
    (tmp_path / "mine.yaml").write_text(f"run: {run}\n")
    requeue(["--run", "runs/stage1", "--config", str(tmp_path / "mine.yaml")])
    assert f"goes on from {run}" in capsys.readouterr().err


def test_what_was_interrupted_by_hand_stays_so(slurm, run: Path):
    slurm()
    with pytest.raises(RequeueError, match="interrupted by hand"):
        requeue(["--status", "130", "--run", str(run)])


def test_the_end_is_read_whatever_format_a_user_has_set(slurm, monkeypatch):
    slurm()
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    assert Job.here().ends() == datetime(2026, 11, 22, 10).timestamp()
    monkeypatch.setenv("PATH", "/nowhere")
    assert Job.here().ends() is None
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1795340000")
    assert Job.here().ends() == 1795340000.0


def test_outside_a_job_there_is_nothing_to_requeue(run: Path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(RequeueError, match="no Slurm job"):
        requeue(["--run", str(run)])
