"""What one node looks at by itself, all at once: each check has its time, and none waits for another node."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cxr_lightning.cluster.preflight import data, devices, folders, host, weights
from cxr_lightning.cluster.preflight.finding import Finding, within
from cxr_lightning.cluster.preflight.place import Place
from cxr_lightning.training.environment import cluster_plugins, ranks_per_node
from cxr_lightning.training.fit import where_to_begin
from cxr_lightning.training.job import Job
from cxr_lightning.training.lease import in_use

LAUNCH, BEGIN = "launch", "begins"
TIME = 15.0
"""Seconds that a check of one node may take."""


class Outlook:
    """The checks of one node.

    Args:
        config: The configuration, as plain values.
        place: This rank.
        mark: Begins the names of files that are written for a moment.
        samples: How many samples to read.
        needed: Returns the bytes of a checkpoint; 0 where that is not known.
    """

    def __init__(
        self, config: dict[str, Any], place: Place, mark: str, samples: int, needed: Callable[[], int]
    ) -> None:
        self.config, self.place, self.mark, self.samples, self.needed = config, place, mark, samples, needed
        self.trainer: dict[str, Any] = config["trainer"]
        self.per_node = ranks_per_node(self.trainer["devices"], self.trainer["accelerator"])

    def findings(self) -> list[Finding]:
        """Returns what was found, in the order in which it is shown."""
        chains: list[Callable[[], list[Finding]]] = [
            lambda: [self._launch(), within(TIME, BEGIN, self._begin)],
            lambda: [within(TIME, devices.CHECK, self._devices)],
            self._data_and_folders,
            lambda: [within(TIME, weights.CHECK, lambda: weights.look(self.config["model"]["init_args"]))],
            lambda: [within(TIME, host.LIMITS, self._limits)],
        ]
        with ThreadPoolExecutor(len(chains)) as threads:
            return [finding for found in threads.map(lambda chain: chain(), chains) for finding in found]

    def _launch(self) -> Finding:
        """Holds what was started against what the trainer expects."""
        wanted = self.per_node * int(self.trainer["num_nodes"])
        told = f"{self.place.ranks} by {self.place.launcher}"
        if self.place.launcher == "alone":
            return Finding(LAUNCH, f"one process, of {wanted}" if wanted > 1 else "one process")
        if self.place.ranks != wanted:
            why = (
                f"--trainer.num_nodes {self.trainer['num_nodes']} x --trainer.devices {self.trainer['devices']} are "
                f"{wanted} ranks, and {self.place.launcher} started {self.place.ranks}"
            )
            return Finding(LAUNCH, told, "failed", why, "start one task a device, on as many nodes (slurm/job.sh does)")
        if self.place.launcher == "slurm" and not _plugins():
            why = "the job is called bash or interactive, by which Lightning takes each task for a training of its own"
            return Finding(LAUNCH, told, "failed", why, "give the job another name (--job-name)")
        return Finding(LAUNCH, told)

    def _begin(self) -> Finding:
        """Says where the training would begin, or is refused because the run was begun before."""
        holder = in_use(Path(self.config["run"]), Job.here())
        if holder is not None:
            why, remedy = f"{holder} trains into {self.config['run']}", "name another --run (sbatch --job-name OTHER)"
            return Finding(BEGIN, "in use", "failed", why, remedy)
        checkpoint = where_to_begin(Path(self.config["run"]), self.config["ckpt_path"])
        return Finding(BEGIN, "anew" if checkpoint is None else f"after {Path(checkpoint).name}")

    def _devices(self) -> Finding:
        alone = self.place.launcher == "alone"
        return devices.look(str(self.trainer["accelerator"]), self.per_node, alone=alone)

    def _limits(self) -> Finding:
        cuda, nodes = devices.wants_gpu(str(self.trainer["accelerator"])), int(self.trainer["num_nodes"])
        return host.look_at_limits(self.per_node, cuda=cuda, nodes=nodes)

    def _data_and_folders(self) -> list[Finding]:
        """One after the other, for they may lie on one disk."""
        opened: list[Any] = []

        def look() -> Finding:
            with data.warnings_of() as warned:
                opened.append(data.open_data(self.config["data"]))
            return data.look(opened[0], self.samples, zlib.crc32(self.place.node.encode()), warned)

        found = [within(TIME, data.CHECK, look)]
        run, keep = Path(self.config["run"]), int(self.config["checkpoint"]["keep"])
        found.append(within(TIME, folders.RUN, lambda: folders.look_at_run(run, self._own_mark, self.needed(), keep)))
        if opened and folders.uses_scratch(opened[0]):
            found.append(within(TIME, folders.SCRATCH, lambda: folders.look_at_scratch(opened[0], self._own_mark)))
        return found

    @property
    def _own_mark(self) -> str:
        return f"{self.mark}.{self.place.node}"


def _plugins() -> list[Any]:
    return cluster_plugins()
