"""Ranks and threads, as configuration and Slurm say them."""

from __future__ import annotations

import os

import pytest
from deepspeed.accelerator import get_accelerator

from cxr_lightning.training import environment
from cxr_lightning.training.environment import cluster_plugins, ranks_per_node
from cxr_lightning.training.zero import ZeroStrategy

pytestmark = [pytest.mark.quick, pytest.mark.filterwarnings("ignore:The `srun` command is available")]


@pytest.fixture
def in_slurm(monkeypatch):
    given = {"NTASKS": "4", "NTASKS_PER_NODE": "2", "JOB_NAME": "stage1", "PROCID": "0", "CPUS_PER_TASK": "3"}
    for name, value in given.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.parametrize(("devices", "ranks"), [(2, 2), ("2", 2), ([0, 3], 2), ("0,1,5", 3), ("auto", 1)])
def test_devices_are_counted_however_they_are_written(devices, ranks, monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    assert ranks_per_node(devices, "cpu") == ranks


def test_slurm_says_how_many_tasks_a_node_has(in_slurm):
    assert ranks_per_node("auto", "cpu") == 2


def test_a_rank_takes_the_cores_that_slurm_gave_its_task(in_slurm):
    assert environment._cores(ranks=8) == 3


def test_without_slurm_ranks_share_the_cores(monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert environment._cores(ranks=2) == 4
    assert environment._cores(ranks=16) == 1


def test_lightning_does_not_requeue_from_within_a_signal_handler(in_slurm):
    (plugin,) = cluster_plugins()
    assert plugin.auto_requeue is False


def test_a_shell_inside_an_allocation_is_no_slurm_task(in_slurm, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert cluster_plugins() == []


def test_cpu_ranks_of_a_machine_with_gpus_meet_over_gloo(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    strategy = ZeroStrategy(stage=2)
    assert strategy.process_group_backend == "nccl"
    strategy._compute_on_cpus()
    assert strategy.process_group_backend == "gloo"
    assert not strategy.config["zero_optimization"]["overlap_comm"]
    assert get_accelerator().device_name() == "cpu"
