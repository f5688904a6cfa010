"""Everything that a shared cluster does to a job, on a real Slurm: the run ends as if nothing had been, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.checkpoint.attempts import Attempt, attempts
from cxr_lightning.checkpoint.runs import checkpoint_folder
from tests.slurm.cluster import Cluster, until
from tests.slurm.jobs import ended_well, submit

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

    until(ready, 150, f"attempt {attempt} made no {steps} steps: {tail(run)}")


def tail(run: Path) -> str:
    log = Path(f"{run}.log")
    return log.read_text()[-3000:] if log.exists() else "no log"


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
        for pid in slurm.processes("node2", "fit", "--run"):
            os.kill(pid, signal.SIGKILL)

    def lose_a_node() -> None:
        slurm.lose("node2")
        until(lambda: slurm.job(job)["JobState"] != "RUNNING", 60, "Slurm did not see that the node was lost")
        slurm.boot("node2")

    disturbances: list[tuple[str, Callable[[], object]]] = [
        ("a signal to make room (USR1 or USR2)", lambda: slurm.call("scancel", "--signal=USR1", job)),
        ("SIGTERM", lambda: slurm.call("scancel", "--signal=TERM", job)),
        ("a signal to make room (USR1 or USR2)", preempt),
        ("", lambda: slurm.call("scancel", "--signal=KILL", job)),
        ("", kill_a_rank),
        ("", lose_a_node),
    ]
    for attempt, (_, disturb) in enumerate(disturbances, start=1):
        trained(run, attempt, moments.randint(11, 25))
        disturb()
    ended_well(slurm, job, run)
    assert_equal_ends(whole, run)
    told: list[Attempt] = attempts(run)
    assert [each.restart for each in told] == list(range(len(disturbances) + 1)), tail(run)
    assert {each.job for each in told} == {job}
    for (reason, _), each, after in zip(disturbances, told, told[1:], strict=False):
        assert reason in each.reason
        assert after.step > each.step, "every attempt gained steps"
