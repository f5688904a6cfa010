"""What one job of a sweep is given: nodes, tasks, GPUs, time, and whatever else sbatch takes."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from typing import Any, Literal

_OURS = {
    "array", "job-name", "nodes", "ntasks", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "partition",
    "output", "error", "open-mode", "requeue", "no-requeue",
}  # fmt: skip
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")


class ResourcesError(ValueError):
    """What the jobs of a sweep shall be given cannot be."""


@dataclass(frozen=True)
class Resources:
    """What each job is given. One task is one rank, so tasks_per_node becomes `trainer.devices`.

    Attributes:
        executor: slurm submits arrays, local starts processes on this machine, auto takes Slurm where there is sbatch.
        nodes: Nodes of a job.
        tasks_per_node: Ranks of each node.
        gpus_per_node: GPUs of each node; where a cluster counts them otherwise leave it out: sbatch: {gres: "gpu:8"}.
        cpus_per_task: Cores of each rank; None leaves it to the site.
        time: Time limit as sbatch takes it, quoted: "04:00:00", "2-00:00:00", or minutes. Local processes have none.
        partition: Slurm's partition; None is the site's default.
        sbatch: Any other option of sbatch by its long name, as in {account: cxr, constraint: a100}.
        srun: Words between srun and the program: further options, or a container's command.
        setup: Shell lines to run on a job's first node before its ranks start, as in [source slurm/site.sh].
    """

    executor: Literal["auto", "slurm", "local"] = "auto"
    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int | None = None
    time: str = "04:00:00"
    partition: str | None = None
    sbatch: dict[str, Any] = field(default_factory=dict)
    srun: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        minutes(self.time)
        if min(self.nodes, self.tasks_per_node, self.cpus_per_task or 1) < 1 or self.gpus_per_node < 0:
            raise ResourcesError(
                f"nodes {self.nodes}, tasks_per_node {self.tasks_per_node}, cpus_per_task {self.cpus_per_task}, "
                f"gpus_per_node {self.gpus_per_node}. Remedy: all are 1 or more, only of GPUs there may be 0."
            )
        taken = sorted(_OURS & {name.replace("_", "-") for name in self.sbatch})
        if taken:
            raise ResourcesError(
                f"sbatch sets {', '.join(taken)}, which the sweep sets itself. Remedy: use the key of jobs of "
                "the same name, or leave it out."
            )

    @property
    def on_slurm(self) -> bool:
        """Whether jobs go to Slurm."""
        if self.executor == "auto":
            return shutil.which("sbatch") is not None
        return self.executor == "slurm"

    def require_possible(self) -> None:
        """Compares what is asked for with where this runs.

        Raises:
            ResourcesError: If Slurm is asked for and is not here, or local processes shall be on several nodes.
        """
        if self.on_slurm and shutil.which("sbatch") is None:
            raise ResourcesError(
                "jobs.executor is slurm, and there is no sbatch here. Remedy: start the sweep on a login node, or set "
                "jobs.executor to local."
            )
        if not self.on_slurm and self.nodes > 1:
            raise ResourcesError(
                f"jobs.nodes is {self.nodes}, and local processes have this machine alone. Remedy: set it to 1, or "
                "start the sweep where there is Slurm."
            )

    def arguments(self) -> list[str]:
        """Returns the arguments of `cxr fit` that follow."""
        return ["--trainer.num_nodes", str(self.nodes), "--trainer.devices", str(self.tasks_per_node)]


def minutes(time: str) -> int:
    """Returns a time limit in minutes, part of one counted whole.

    Args:
        time: As sbatch takes it: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].

    Raises:
        ResourcesError: If it is no such time.
    """
    found = _TIME.fullmatch(time.strip())
    if found is None:
        raise ResourcesError(f'time: {time!r}. Remedy: write it as "04:00:00", "2-00:00:00", or minutes.')
    days, *parts = (None if text is None else int(text) for text in found.groups())
    given = [part for part in parts if part is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        seconds = days * 86400 + sum(part * size for part, size in zip(given, (3600, 60, 1), strict=False))
    else:  # from the right: seconds, minutes, hours; alone they are minutes
        sizes = (60,) if len(given) == 1 else (1, 60, 3600)
        seconds = sum(part * size for part, size in zip(reversed(given), sizes, strict=False))
    if not seconds:
        raise ResourcesError(f"time: {time!r} is no time at all. Remedy: give what a whole run takes.")
    return -(-seconds // 60)
