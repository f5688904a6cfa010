"""A sweep of learning rates on a real Slurm with real accounting: one crashes, one is sent away, the others finish."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from cxr_lightning.checkpoint.attempts import attempts
from cxr_lightning.durable import json_lines
from tests.fitting import ROOT
from tests.slurm import accounting
from tests.slurm.cluster import PATH, Cluster, cluster, missing, until

RATES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, -1.0)
CRASHES = "lr=-1"  # the parser takes it for a number; the optimizer does not
STEPS = 60
RECORDS = ("--allocations", "--duplicates", "--noheader", "--parsable2")  # of a requeued job also what was before


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with accounting."""
    if why := missing() or accounting.missing(PATH):
        pytest.skip(f"no Slurm here: {why}")
    with cluster(tmp_path_factory.mktemp("recorded"), accounting=True) as made:
        yield made


@pytest.fixture
def file(shards: Path, parts: dict[str, str], tmp_path: Path) -> Path:
    told = {
        "folder": str(tmp_path / "sweep"),
        "configs": ["configs/stage1.yaml", "configs/scale/cpu.yaml"],
        "options": {
            "data.shards": str(shards), "data.global_batch": 4, "data.micro_batch": 4, "data.epochs": 99,
            "data.validate_samples": 4, "trainer.max_steps": STEPS, "validate_every_n_steps": 20,
            "trainer.log_every_n_steps": 1, "panels.studies": 0, "checkpoint.every_n_steps": 500,
            "model.source.vision": parts["siglip"], "model.source.language": parts["language"],
        },
        "parameters": {"model.init_args.optim.lr": {"grid": list(RATES)}},
        "parallel": 2,
        "jobs": {
            "executor": "slurm", "partition": "low", "time": "10", "cpus_per_task": 1, "gpus_per_node": 1,
            "sbatch": {"mem": "9000M"},  # one trial a node
        },
    }  # fmt: skip
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(told))
    return tmp_path / "sweep.yaml"


def cxr_sweep(slurm: Cluster, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `cxr sweep` as on a login node."""
    command = [sys.executable, "-m", "cxr_lightning", "sweep", *map(str, words)]
    environment = {**slurm.env, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def send_away(slurm: Cluster, folder: Path) -> str:
    """Has a job of a partition that comes first take the node of a trial that trains, and returns the trial."""

    def training() -> list[Path]:
        return [path.parent for path in sorted(folder.glob("lr=*/metrics.jsonl")) if path.read_text()]

    until(lambda: bool(training()), 150, "no trial began to train")
    victim = training()[0].name
    node = json_lines(folder / "jobs" / victim / "rank-0.jsonl")[-1]["host"]
    first = ("--partition=high", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    slurm.call("sbatch", *first)
    return victim


def validation_losses(run: Path) -> dict[int, float]:
    return {
        line["step"]: line["validate/loss"] for line in json_lines(run / "metrics.jsonl") if "validate/loss" in line
    }


@pytest.mark.slurm
@pytest.mark.ranks
@pytest.mark.slow
def test_a_sweep_survives_a_crash_and_a_preemption(recorded: Cluster, file: Path):
    folder = file.parent / "sweep"
    told = cxr_sweep(recorded, file, "--wait", "false")
    assert "scancel ends them" in told.stderr
    victim = send_away(recorded, folder)
    ended = cxr_sweep(recorded, file, "--poll", "1")  # as after a login node that was booted: it takes over what runs

    report = json.loads((folder / "report.json").read_text())
    trials = {each["name"]: each for each in report["trials"]}
    assert {name: each["state"] for name, each in trials.items()} == {
        name: "failed" if name == CRASHES else "done" for name in trials
    }
    assert len(trials) == len(RATES)
    assert trials[CRASHES]["reason"] == "exit code 1: cxr fit: Invalid learning rate: -1.0"
    assert "lr=-1 failed: exit code 1: cxr fit: Invalid learning rate: -1.0" in ended.stdout

    found = {name: min(validation_losses(folder / name).values()) for name in trials if name != CRASHES}
    assert len(set(found.values())) == len(RATES) - 1
    assert report["best"] == min(found, key=found.__getitem__)
    assert math.isclose(trials[report["best"]]["best_loss"], min(found.values()))
    assert f"Best: {report['best']}" in ended.stdout

    before, after = attempts(folder / victim)
    assert before.reason == f"left at step {after.step}: a signal to make room (USR1 or USR2)"
    assert after.reason == "done"
    assert 0 < after.step < STEPS
    assert before.job == after.job == trials[victim]["job"], "requeued as the task of the array that it is"
    assert {name: each["starts"] for name, each in trials.items()} == {name: 1 + (name == victim) for name in trials}
    for name in found:
        steps = [line["step"] for line in json_lines(folder / name / "metrics.jsonl") if "train/loss" in line]
        assert steps == list(range(1, STEPS + 1))

    array = trials[victim]["job"].partition("_")[0]
    assert recorded.job(array)["ArrayTaskThrottle"] == "2"
    rows = recorded.call("sacct", *RECORDS, "--format=JobID,State,Start,End", "-j", array).splitlines()
    records = [row.split("|") for row in rows]
    assert at_once(records) == 2
    last = {number: state for number, state, *_ in records}
    assert last == {each["job"]: "FAILED" if name == CRASHES else "COMPLETED" for name, each in trials.items()}

    assert sessions(folder) == pytest.approx(found, rel=1e-6), "TensorBoard reads the sweep's folder as it is"


def at_once(records: list[list[str]]) -> int:
    """The most jobs that ran at the same time, by accounting; whoever ends in a second leaves its place in it."""
    changes = [(end, -1) for *_, end in records] + [(start, 1) for *_, start, _ in records]
    return max(itertools.accumulate(change for _, change in sorted(changes)))


def sessions(folder: Path) -> dict[str, float]:
    """Returns what TensorBoard's HParams tab shows of a folder: its runs, with their lowest validation loss."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(data_provider=provider, multiplexer=multiplexer, logdir=str(folder)))
    metric = api_pb2.MetricName(tag="validate/best_loss")
    ask = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=100, col_params=[api_pb2.ColParams(metric=metric)],
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_RUNNING, api_pb2.STATUS_FAILURE],
    )  # fmt: skip
    groups = list_session_groups.Handler(RequestContext(), context, "", ask).run().session_groups
    return {Path(group.sessions[0].name).parent.name: _value(group, metric.tag) for group in groups}


def _value(group: Any, tag: str) -> float:
    return next(each.value for each in group.metric_values if each.name.tag == tag)
