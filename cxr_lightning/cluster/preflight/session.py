"""The look as all ranks take it together: first what each node sees by itself, then what needs all of them.

Each step has its time, and what a rank does not tell within it counts against that rank. A node looks at itself while
other ranks are still coming; the network is tried only once all have come.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from cxr_lightning.cluster.preflight import clock, devices, folders, host, likeness
from cxr_lightning.cluster.preflight.asking import Asked
from cxr_lightning.cluster.preflight.finding import Finding, within
from cxr_lightning.cluster.preflight.links import NODE, Backend, Links, measured
from cxr_lightning.cluster.preflight.look import Outlook
from cxr_lightning.cluster.preflight.meeting import Meeting, Roll
from cxr_lightning.cluster.preflight.saving import checkpoint_size
from cxr_lightning.cluster.preflight.voice import Voice

ARGUMENTS = "arguments"
LONG = 40.0
"""Seconds after which a node that has not told what it found is taken for hung; its own checks end sooner."""
_COUNTING = 8.0
"""Seconds that counting what learns may take; the run's disk is looked at without it then."""
_LAG = 10.0
"""Seconds that a shared disk may take to show what another node wrote."""


class Session:
    """One rank's part.

    Args:
        meeting: Where ranks meet.
        asked: The configuration, or why there is none.
        voice: What libraries said.
    """

    def __init__(self, meeting: Meeting, asked: Asked, voice: Voice) -> None:
        self.meeting, self.asked, self.voice, self.place = meeting, asked, voice, meeting.place
        if self.place.rank == 0:
            meeting.tell("mark", f".preflight-{os.getpid()}-{os.urandom(4).hex()}")
        self.mark = str(meeting.hear("mark", meeting.wait))
        self.run = Path(asked.config.get("run", "."))
        self.links: Links | None = None
        self.accelerator = str(asked.config.get("trainer", {}).get("accelerator", "cpu"))

    def take_part(self) -> Roll:
        """Looks, and tells what was found; returns who came."""
        with ThreadPoolExecutor(1) as thread:
            found: Future[list[Finding]] | None = thread.submit(self._look) if self.place.leads else None
            if self.place.rank == 0 and self.asked.config:
                # Before anybody looks for it: a shared disk may remember for a minute that a file was not there.
                within(_LAG, folders.SHARED, self._leave_mark)
            roll = self.meeting.call_roll() if self.place.rank == 0 else self.meeting.hear_roll()
            skew = self._clock(list(roll.nodes)) if found is not None else []  # at once: rank 0 takes turns
            self.meeting.tell(f"facts/{self.place.rank}", likeness.facts(self.asked.text))
            self.meeting.tell(f"device/{self.place.rank}", self._compute())
            if found is not None:
                findings = [*found.result(), *self._beside_others(list(roll.nodes)), *skew]
                self.meeting.tell(f"found/{self.place.node}", [each.to_json() for each in findings])
        return roll

    def near(self, roll: Roll) -> None:
        """Tries the network inside the node and to its neighbours, if rank 0 says that it is worth it."""
        backend: Backend | None = self.meeting.hear("backend", 2 * LONG)
        if backend is None:
            return
        device = torch.device("cuda", self.place.local_rank) if backend == "nccl" else torch.device("cpu")
        self.links = Links(self.meeting, roll, backend, device)
        near = {"inside": self.links.inside(), "neighbours": self.links.with_neighbours()}
        self.meeting.tell(f"near/{self.place.rank}", near)

    def everyone(self) -> None:
        """Tries the network of all ranks together, if rank 0 says that it is worth it."""
        if self.links is None or not self.meeting.hear("all", LONG):
            return
        rate = self.links.all_together()
        warned = self.voice.warned() if isinstance(rate, str) else ""
        self.meeting.tell(f"all/{self.place.rank}", f"{rate}; NCCL: {warned}" if warned else rate)

    def _look(self) -> list[Finding]:
        if not self.asked.config:
            why = f"the command line cannot be read here: {self.asked.why}"
            return [Finding(ARGUMENTS, "unreadable", "failed", why, "as it says; see that all nodes have these files")]
        mark, samples = f"{self.mark}.{self.place.node}", self.asked.options.samples
        return Outlook(self.asked.config, self.place, mark, samples, self._checkpoint_size).findings()

    def _clock(self, nodes: list[str]) -> list[Finding]:
        """Holds clocks against that of rank 0, which answers."""
        if len(nodes) == 1:
            return []
        if self.place.rank != 0:
            return [clock.look(self.meeting, self.place.node, _LAG)]
        serve = (self.meeting, self.meeting.again(), nodes[1:])
        threading.Thread(target=clock.serve, args=serve, name="preflight-clock", daemon=True).start()
        return [Finding(clock.CHECK, "the reference")]

    def _beside_others(self, nodes: list[str]) -> list[Finding]:
        """Returns what a node sees of the others: their names, and what the first wrote to the shared disk."""
        if len(nodes) == 1:
            return []
        backend = "nccl" if devices.wants_gpu(self.accelerator) else "gloo"
        told = [within(_LAG, host.NAMES, lambda: host.look_at_names(nodes, self.place.node, backend))]
        if self.asked.config:
            look = lambda: folders.look_at_mark(self.run, f"{self.mark}.first", nodes[0], _LAG)  # noqa: E731
            told.append(within(_LAG + 1, folders.SHARED, look))
        return told

    def _leave_mark(self) -> Finding:
        folders.leave_mark(self.run, f"{self.mark}.first")
        return Finding(folders.SHARED, "")

    def _compute(self) -> str:
        """Returns what is wrong with this rank's GPU, or nothing."""
        if not (devices.wants_gpu(self.accelerator) and torch.cuda.is_available()):
            return ""
        wrong: list[str] = []

        def compute() -> float:
            wrong.append(devices.compute(self.place.local_rank))
            return 0.0

        late = measured(NODE, compute)
        return late if isinstance(late, str) else wrong[0]

    def _checkpoint_size(self) -> int:
        """Returns the bytes of a checkpoint, roughly; 0 where they are not known, or another node counts them."""
        if self.place.rank != 0:
            return 0
        counted: list[int] = []

        def count() -> float:
            counted.append(checkpoint_size(self.run, self.asked.parsed))
            return 0.0

        measured(_COUNTING, count)
        return counted[0] if counted else 0
