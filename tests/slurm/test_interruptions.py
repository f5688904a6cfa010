"""Everything that a shared cluster does to a job, on a real Slurm: the run ends as if nothing had been, to the bit."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.checkpoint.attempts import Attempt, attempts
from cxr_lightning.checkpoint.runs import checkpoint_folder, newest_checkpoint, step_of
from tests.slurm.cluster import Cluster, until
from tests.slurm.jobs import ROOT, ended_well, submit

pytestmark = [pytest.mark.slurm, pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(1200)]

STEPS = 300
OFTEN = ("--checkpoint.every_n_steps", "10", "--validate_every_n_steps", "25", "--data.validate_samples", "4")
LONG = (*OFTEN, "--data.epochs", "100", "--trainer.max_steps", str(STEPS), "--panels.studies", "0")


def curve(run: Path) -> list[tuple[int, str, float]]:
    """Every logged loss, in order."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    names = ("train/loss", "train/grad_norm", "validate/loss", "data/samples")
    return [(line["step"], name, line[name]) for line in lines for name in names if name in line]


def assert_equal_ends(whole: Path, disturbed: Path) -> None:
    assert curve(disturbed) == curve(whole)
    here, there = checkpoint_folder(disturbed, STEPS), checkpoint_folder(whole, STEPS)
    for path in sorted(there.glob("*.safetensors")):
        assert (here / path.name).read_bytes() == path.read_bytes(), path.name


def trained(run: Path, attempt: int, steps: int) -> None:
    """Waits until an attempt is the given number of steps under way."""

    def ready() -> bool:
        begun = attempts(run) if run.exists() else []
        if len(begun) < attempt:
            return False
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return bool(lines) and json.loads(lines[-1])["step"] >= begun[attempt - 1].step + steps

    try:
        until(ready, 150, f"attempt {attempt} made no {steps} steps")
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {tail(run)}") from None


def tail(run: Path) -> str:
    told = [Path(f"{run}.log"), run / "attempts.jsonl"]
    return "\n".join(path.read_text()[-4000:] for path in told if path.exists())


def rank_on(slurm: Cluster, node: str, run: Path) -> int:
    """Returns the process of a run's rank on a node, beside srun and the batch script that name the run as well."""
    (pid,) = (
        pid
        for pid in slurm.processes(node, "fit", str(run))
        if Path(f"/proc/{pid}/exe").resolve().name.startswith("python")
    )
    return pid


@pytest.fixture(scope="module")
def given(parts: dict[str, str], shards: Path) -> list[str]:
    model = ["--model.source.vision", parts["siglip"], "--model.source.language", parts["language"]]
    return ["--data.shards", str(shards), *model, *LONG]


@pytest.fixture(scope="module")
def whole(slurm: Cluster, given: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    ended_well(slurm, submit(slurm, 1, run, given), run)
    return run


def test_a_run_survives_all_that_a_cluster_does_to_it(slurm: Cluster, whole: Path, given: list[str], tmp_path: Path):
    run, moments = tmp_path / "run", random.Random(5)
    job = submit(slurm, 1, run, given, "--partition=low")

    def preempt() -> None:
        slurm.call("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")

    def kill_a_rank() -> None:
        before = int(slurm.job(job)["Restarts"])
        os.kill(rank_on(slurm, "node2", run), signal.SIGKILL)
        until(lambda: int(slurm.job(job)["Restarts"]) > before, 30, "the job was not over and requeued")

    def lose_a_node() -> None:
        slurm.lose("node2")
        until(lambda: slurm.state("node2").startswith("down"), 60, "Slurm did not see that the node was lost")
        slurm.boot("node2")

    disturbances: list[tuple[str, Callable[[], object]]] = [
        ("a signal to make room (USR1 or USR2)", lambda: slurm.call("scancel", "--signal=USR1", job)),
        ("SIGTERM", lambda: slurm.call("scancel", "--signal=TERM", job)),
        ("a signal to make room (USR1 or USR2)", preempt),
        ("SIGTERM", lambda: slurm.call("scontrol", "requeue", job)),
        ("", kill_a_rank),
        ("", lose_a_node),
    ]
    for attempt, (_, disturb) in enumerate(disturbances, start=1):
        trained(run, attempt, moments.randint(11, 25))
        disturb()
    ended_well(slurm, job, run)
    assert_equal_ends(whole, run)
    told: list[Attempt] = attempts(run)
    # A node that comes back may still be sent the end of the attempt that it lost, which then hits the next one.
    assert len(told) > len(disturbances)
    restarts = [each.restart for each in told]  # or end it before it begins, and then its number is not told
    assert restarts == sorted(set(restarts)), tail(run)
    assert {each.job for each in told} == {job}
    for (reason, _), each, after in zip(disturbances, told, told[1:], strict=False):
        assert reason in each.reason
        assert after.step > each.step, "every attempt gained steps"


def test_a_run_changes_its_nodes_and_leaves_before_its_time_limit(
    slurm: Cluster, whole: Path, given: list[str], tmp_path: Path
):
    run = tmp_path / "run"
    two = submit(slurm, 1, run, given)
    trained(run, 1, 15)
    slurm.call("scancel", two)
    assert slurm.wait(two, 60)["JobState"] == "CANCELLED"
    first = attempts(run)[-1]
    assert first.reason.endswith("SIGTERM"), tail(run)
    assert step_of(newest_checkpoint(run)) > 15, "saved when it was cancelled, and for a user who wants it to end"
    assert slurm.job(two)["Restarts"] == "0"

    # On one node, with a limit that it knows of: Slurm is told to send nothing.
    one_node = ("--nodes=1", "--ntasks-per-node=2", "--time=2", "--signal=CONT@1")
    one = submit(slurm, 1, run, [*given, "--preemption.before_limit_s", "105"], *one_node)
    until(lambda: slurm.job(one)["Restarts"] == "1", 130, f"job {one} was not requeued before its limit")
    slurm.call("scancel", one)
    assert attempts(run)[-1].reason.endswith("the job's time limit"), tail(run)
    assert newest_checkpoint(run) == checkpoint_folder(run, step_of(newest_checkpoint(run)))

    ended_well(slurm, submit(slurm, 1, run, given), run)
    assert_equal_ends(whole, run)
    steps = [each.step for each in attempts(run)]
    assert len(steps) == 3
    assert steps == sorted(set(steps))


def test_a_rank_that_hangs_is_ended_and_a_crash_loop_too(slurm: Cluster, given: list[str], tmp_path: Path):
    """Neither attempt saves anything, so the first goes back into the queue, and the second does not."""
    run = tmp_path / "run"
    soon = ("--checkpoint.every_n_steps", "250", "--watchdog.timeout_s", "5", "--watchdog.slow_timeout_s", "30")
    job = submit(slurm, 1, run, [*given, *soon])
    trained(run, 1, 15)
    os.kill(rank_on(slurm, "node2", run), signal.SIGSTOP)
    until(lambda: slurm.job(job)["Restarts"] == "1", 40, "the run that hung was not ended and requeued")
    told = "\n".join(path.read_text() for path in (run / "hangs").rglob("*.txt"))
    assert "rank 1 on node2 fell silent" in told
    assert re.search(r"all_(reduce|gather)", told), "where rank 0 waits"

    trained(run, 2, 15)
    os.kill(rank_on(slurm, "node1", run), signal.SIGKILL)
    assert slurm.wait(job, 60)["JobState"] == "FAILED"
    assert slurm.job(job)["Restarts"] == "1"
    assert "2 attempts in a row saved nothing after step 0" in tail(run)
    for name in slurm.names:
        assert not slurm.processes(name, "fit", str(run)), "no process is left on any node"


def test_a_task_of_an_array_is_requeued_as_itself(slurm: Cluster, tmp_path: Path):
    program = (
        "from cxr_lightning.training.job import Job\n"
        "job = Job.here()\n"
        "if job.number.endswith('_1') and not job.restarts: job.requeue()"
    )
    script = tmp_path / "again.py"
    script.write_text(program)
    wrapped = f"--wrap={sys.executable} {script}"
    array = slurm.call("sbatch", "--parsable", "--array=0-1", f"--chdir={ROOT}", "--output=/dev/null", wrapped)
    until(lambda: slurm.job(f"{array}_1")["Restarts"] == "1", 60, "the task was not requeued")
    assert slurm.wait(f"{array}_1", 60)["JobState"] == "COMPLETED"
    assert slurm.wait(f"{array}_0", 60)["Restarts"] == "0"
