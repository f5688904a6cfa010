"""The network between ranks: each node with its neighbour, then all ranks together, with the backend that trains.

Every pair has a group of its own, met through the store, so one lost node cannot hold up what others measure; and a
node that is slow or lost with both of its neighbours is known by that, where an all-reduce is as slow as its slowest.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from cxr_lightning.cluster.preflight.finding import told
from cxr_lightning.cluster.preflight.meeting import Meeting, Roll

Backend = Literal["gloo", "nccl"]
PAIR, NODE = 7.0, 15.0
"""Seconds that a pair, or the ranks of a node, may take; connecting included."""
_WARM, _SOME = 1 << 18, 2 << 20
_MOST: dict[Backend, int] = {"gloo": 16 << 20, "nccl": 256 << 20}
_ALL: dict[Backend, int] = {"gloo": 8 << 20, "nccl": 256 << 20}
_MEASURED = 0.2
"""Seconds that an exchange should last, to be measured well."""
_ROUNDS = 3
"""Exchanges of which the quickest counts: what else a node does for a moment is not its network's fault."""


Measured = float | str
"""Bytes a second, or what went wrong."""


@dataclass(frozen=True)
class Edge:
    """Two neighbours in the ring of nodes, and in which phase they talk: in one phase each node talks with one."""

    one: str
    other: str
    phase: int

    def beyond(self, node: str) -> str:
        """Returns the other end."""
        return self.other if node == self.one else self.one


def long_enough(ranks: int) -> float:
    """Returns the seconds that ranks may take to sum together: the more there are, the longer they take to connect."""
    return NODE + ranks / 32


def ring(nodes: list[str]) -> list[Edge]:
    """Returns the edges of a ring over all nodes; one edge between two, none for one."""
    count = len(nodes)
    if count < 3:
        return [Edge(nodes[0], nodes[1], 0)] if count == 2 else []
    last = count - 1
    phases = [2 if number == last and count % 2 else number % 2 for number in range(count)]
    return [Edge(nodes[number], nodes[(number + 1) % count], phase) for number, phase in enumerate(phases)]


def measured(seconds: float, action: Callable[[], float]) -> Measured:
    """Measures what may hang, and says so if it does; its thread is left behind."""
    found: list[Measured] = []

    def run() -> None:
        try:
            found.append(action())
        except Exception as error:  # whatever the network does
            found.append(told(error))

    thread = threading.Thread(target=run, name="preflight-link", daemon=True)
    thread.start()
    thread.join(seconds + 1)  # the backend's own time-out says more than this one
    return found[0] if found else f"no answer in {seconds:.0f} s"


class Links:
    """Measures what goes over the network, on every rank at once.

    Args:
        meeting: The meeting.
        roll: Who is there.
        backend: What the training will use.
        device: This rank's.
    """

    def __init__(self, meeting: Meeting, roll: Roll, backend: Backend, device: torch.device) -> None:
        self.meeting, self.roll, self.backend, self.device = meeting, roll, backend, device
        self.place = meeting.place
        if backend == "nccl":  # a wait that is too long is an error here, where else it would end the process
            os.environ.update(TORCH_NCCL_BLOCKING_WAIT="1", TORCH_NCCL_ASYNC_ERROR_HANDLING="0")
        self.mates = roll.nodes[self.place.node]
        self.index = self.mates.index(self.place.rank)
        self.alike = len({len(ranks) for ranks in roll.nodes.values()}) == 1

    def inside(self) -> Measured | None:
        """Sums over the ranks of this node; None where there is one, or where these are all."""
        if len(self.mates) == 1 or len(self.roll.nodes) == 1:
            return None
        name = f"inside/{self.place.node}"
        return measured(NODE, lambda: self._reduce(name, self.index, len(self.mates)))

    def with_neighbours(self) -> dict[str, Measured]:
        """Sends to the rank of the same number on each neighbouring node, and back; phase after phase.

        Returns:
            What was measured, by the neighbour's name.
        """
        edges: list[Edge] = ring(list(self.roll.nodes))
        rates: dict[str, Measured] = {}
        for phase in range(max((edge.phase for edge in edges), default=-1) + 1):
            mine = [edge for edge in edges if edge.phase == phase and self.place.node in (edge.one, edge.other)]
            if mine and (self.index == 0 or self.alike):
                rates[mine[0].beyond(self.place.node)] = measured(PAIR, partial(self._exchange, mine[0]))
            self.meeting.together(f"phase/{phase}", self.roll.ranks, PAIR)
        return rates

    def all_together(self) -> Measured | None:
        """Sums over all ranks; None where there is one."""
        if self.roll.ranks == 1:
            return None
        ranks = self.roll.ranks
        return measured(long_enough(ranks), lambda: self._reduce("all", self.place.rank, ranks))

    def _exchange(self, edge: Edge) -> float:
        """Sends there and back; returns bytes a second."""
        side = int(self.place.node == edge.other)
        group = self._group(f"pair/{edge.one}/{edge.other}/{self.index}", side, 2, PAIR)
        self._there_and_back(group, side, _WARM)  # connects
        rate = self._there_and_back(group, side, _SOME)
        wish = torch.tensor([min(_MOST[self.backend], int(rate * _MEASURED / 2))], device=self.device)
        self._pass(group, wish, side, sender=0)  # both take the word of one
        if int(wish) < _SOME:  # so slow that it is known well enough
            return rate
        return max(rate, *(self._there_and_back(group, side, int(wish)) for _ in range(_ROUNDS)))

    def _there_and_back(self, group: Any, side: int, size: int) -> float:
        data = torch.full((size,), side, dtype=torch.uint8, device=self.device)
        begin = time.monotonic()
        for sender in (0, 1):
            self._pass(group, data, side, sender)
        return 2 * size / max(time.monotonic() - begin, 1e-9)

    def _pass(self, group: Any, data: Tensor, side: int, sender: int) -> None:
        work = group.send([data], 1 - side, 0) if side == sender else group.recv([data], 1 - side, 0)
        self._finish(work)

    def _reduce(self, name: str, rank: int, ranks: int) -> float:
        """Sums numbers over ranks; returns bytes a second over the bus, as the tests of NCCL count them."""
        group = self._group(name, rank, ranks, long_enough(ranks))
        numbers, times = _ALL[self.backend] // 4, []
        for count in (_WARM // 4, *[numbers] * _ROUNDS):
            data = torch.full((count,), float(rank + 1), device=self.device)
            begin = time.monotonic()
            self._finish(group.allreduce([data]))
            times.append(time.monotonic() - begin)
            if not bool((data == ranks * (ranks + 1) / 2).all()):
                raise ValueError("the sum over ranks is wrong: the network or a device changes numbers")
        return 2 * (ranks - 1) / ranks * 4 * numbers / max(min(times[1:]), 1e-9)

    def _group(self, name: str, rank: int, ranks: int, seconds: float) -> Any:
        store = dist.PrefixStore(name, self.meeting.again())  # type: ignore[attr-defined]
        if self.backend == "gloo":
            return dist.ProcessGroupGloo(store, rank, ranks, timedelta(seconds=seconds))
        options = dist.ProcessGroupNCCL.Options()
        options._timeout = timedelta(seconds=seconds)
        torch.cuda.set_device(self.device)
        return dist.ProcessGroupNCCL(store, rank, ranks, options)

    def _finish(self, work: Any) -> None:
        work.wait()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
