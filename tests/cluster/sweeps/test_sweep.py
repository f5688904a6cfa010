"""A sweep's file: what it may say, and what is said of what it may not."""

from __future__ import annotations

import re

import pytest

from cxr_lightning.cluster.sweeps.folder import SweepFolder
from cxr_lightning.cluster.sweeps.resources import Resources, ResourcesError, minutes
from cxr_lightning.cluster.sweeps.submission import slurm_parameters
from cxr_lightning.cluster.sweeps.sweep import as_arguments, read_sweep

pytestmark = pytest.mark.quick
RIGHT = "folder: a\nconfigs: [b.yaml]\nparameters: {model.init_args.optim.lr: {grid: [1e-4, 3.0e-4]}}\n"


def test_numbers_are_numbers_with_and_without_a_dot(tmp_path):
    (tmp_path / "s.yaml").write_text(
        RIGHT + "options: {data.seed: 3, trainer.gradient_clip_val: null, x.y: [1e-2, a]}\n"
    )
    sweep = read_sweep(tmp_path / "s.yaml", {"parallel": 7})
    assert [trial.name for trial in sweep.trials()] == ["lr=0.0001", "lr=0.0003"]
    assert sweep.parallel == 7
    assert as_arguments(sweep.options) == [
        "--data.seed", "3", "--trainer.gradient_clip_val", "null", "--x.y", '[0.01, "a"]',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RIGHT.replace("grid", "grd"), "parameters.model.init_args.optim.lr: there is no key grd. Remedy: do you mean"),
        (RIGHT + "paralel: 3\n", "there is no key paralel. Remedy: do you mean parallel?"),
        (RIGHT + "parallel: three\n", "parallel: 'three'. Remedy: give a whole number"),
        (RIGHT + "parallel: 0\n", "parallel: 0"),
        (RIGHT.replace("[1e-4, 3.0e-4]", "1e-4"), "lr.grid: 0.0001. Remedy: give a list"),
        (RIGHT.replace("{grid: [1e-4, 3.0e-4]}", "[1, 2]"), "give keys (grid, choice"),
        (RIGHT.replace("grid: [1e-4, 3.0e-4]", "uniform: [1]"), "a list of 2"),
        (RIGHT.replace("grid: [1e-4, 3.0e-4]", "uniform: [a, b]"), "'a'. Remedy: give a number"),
        (RIGHT + "halving: {factor: 2}\n", "halving: first is missing"),
        (RIGHT + "halving: {first: 2, asynchronous: maybe}\n", "true or false"),
        (RIGHT + "jobs: {time: 12:00:00}\n", "jobs.time: 43200. Remedy: give text, in quotes"),
        (RIGHT + "jobs: {time: soon}\n", "jobs: time: 'soon'"),
        (RIGHT + "jobs: {executor: condor}\n", "one of auto, slurm, local"),
        (RIGHT + "jobs: {sbatch: {time: 3, account: x}}\n", "jobs: sbatch sets time"),
        (RIGHT + "jobs: {nodes: 0}\n", "1 or more"),
        (RIGHT + "options: {run: x}\n", "run: the sweep sets it"),
        (RIGHT + "options: {model.init_args.optim.lr: 1}\n", "in parameters and in options"),
        (RIGHT.replace("[b.yaml]", "[]"), "configs: there is none"),
        ("folder: a\n", "configs, parameters is missing"),
        ("- a\n", "holds no keys"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_a_remedy(text, said, tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_sweep(file, {})
    assert str(file) in str(error.value)
    assert "Remedy: " in str(error.value)


@pytest.mark.parametrize(
    ("time", "expected"),
    [("90", 90), ("90:30", 91), ("04:00:00", 240), ("1-0", 1440), ("2-03:30", 3090), ("1-00:00:01", 1441)],
)
def test_times_are_those_of_sbatch(time, expected):
    assert minutes(time) == expected


def test_what_the_machine_lacks_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ResourcesError, match="no sbatch"):
        Resources(executor="slurm").require_possible()
    with pytest.raises(ResourcesError, match="this machine alone"):
        Resources(nodes=2).require_possible()


def test_slurm_is_told_all_of_it(tmp_path):
    jobs = Resources(
        nodes=2, tasks_per_node=8, gpus_per_node=8, cpus_per_task=7, time="1-00:00:00", partition="a100",
        sbatch={"account": "cxr", "exclusive": True}, srun=["--cpu-bind=cores"], setup=["source slurm/site.sh"],
    )  # fmt: skip
    told = slurm_parameters(SweepFolder(tmp_path / "lr"), jobs, 3)
    assert told["additional_parameters"] == {"requeue": True, "account": "cxr", "exclusive": True}
    assert told["srun_args"] == ["--kill-on-bad-exit=1", "--cpus-per-task=7", "--cpu-bind=cores"]
    assert (told["time"], told["array_parallelism"], told["job_name"]) == (1440, 3, "sweep-lr")
    assert told["setup"][:2] == ["set -eo pipefail", "source slurm/site.sh"]
    assert "cxr_lightning.cluster.port" in told["setup"][2]
    assert jobs.arguments() == ["--trainer.num_nodes", "2", "--trainer.devices", "8"]
