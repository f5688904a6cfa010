"""Where a run stands: how many ranks, how many threads each, who starts them."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment


def ranks_per_node(devices: Any, accelerator: str) -> int:
    """Returns how many ranks `trainer.devices` asks for on a node."""
    if isinstance(devices, list | tuple):
        return len(devices)
    if isinstance(devices, str) and devices != "auto":
        devices = int(devices) if devices.lstrip("-").isdigit() else len(devices.split(","))
    if isinstance(devices, int) and devices > 0:
        return devices
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.device_count()
    return int(os.environ.get("SLURM_NTASKS_PER_NODE", "1"))


def limit_threads(ranks: int, accelerator: str) -> None:
    """Gives each rank its share of the cores: CPU ranks that all use every core are several times slower."""
    if accelerator == "cpu" or not torch.cuda.is_available():
        os.environ.setdefault("OMP_NUM_THREADS", str(_cores(ranks)))
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def _cores(ranks: int) -> int:
    """Returns how many cores one rank has: what Slurm gave its task, or its share of what this process may use."""
    given = os.environ.get("SLURM_CPUS_PER_TASK") if SLURMEnvironment.detect() else None
    return int(given) if given else max(1, len(os.sched_getaffinity(0)) // ranks)


def cluster_plugins() -> list[Any]:
    """Returns Slurm's environment where Slurm started the ranks; requeueing is left to Slurm's `--requeue`.

    Lightning's own requeue saves inside the signal handler, where ranks may stand in different collectives.
    """
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
