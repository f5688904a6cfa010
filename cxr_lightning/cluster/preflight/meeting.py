"""Ranks meet at a store that rank 0 holds; who does not come within the time is named, and nobody waits for him.

All that is told goes through the store, never through a collective: a collective waits for the very rank that is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from cxr_lightning.cluster.preflight.place import Place

_PATIENCE = 10.0
"""Seconds that other ranks wait longer than rank 0, so that it can tell who is missing before they give up."""
_LOOK = 0.05
_Store: Any = dist.TCPStore  # type: ignore[attr-defined]


class NobodyThereError(ValueError):
    """Rank 0 cannot be reached, or cannot listen."""


@dataclass(frozen=True)
class Roll:
    """Who came.

    Attributes:
        nodes: The ranks of each node that came, nodes in the order of their first rank.
        missing: Names of nodes that lack, or lack some ranks, with what lacks.
        ranks: How many should have come.
    """

    nodes: dict[str, list[int]]
    missing: dict[str, str]
    ranks: int

    @property
    def complete(self) -> bool:
        """Whether all came."""
        return not self.missing

    def leader(self, node: str) -> int:
        """Returns the first rank of a node."""
        return self.nodes[node][0]


class Meeting:
    """The store, seen from one rank.

    Args:
        place: This rank's.
        wait: Seconds to wait for all ranks to come.

    Raises:
        NobodyThereError: If rank 0 cannot be reached, or cannot listen.
    """

    def __init__(self, place: Place, wait: float) -> None:
        self.place, self.wait = place, wait
        self.host, self.port = place.meeting_point()
        holds = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"  # else torchrun does
        self.store = self._connect(first=holds)
        if self.port == 0:
            self.port = self.store.port
        self.store.set(f"here/{place.rank}", place.node)

    def again(self) -> Any:
        """Returns another connection, for another thread: one that waits holds up the others."""
        return self._connect(first=False)

    def _connect(self, *, first: bool) -> Any:
        patience = timedelta(seconds=self.wait + _PATIENCE)
        try:
            return _Store(self.host, self.port, None, first, timeout=patience, wait_for_workers=False)
        except (dist.DistError, RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:200]
            if first:
                raise NobodyThereError(
                    f"{self.place.node}: rank 0 cannot listen on {self.host}:{self.port} ({told}). Remedy: set "
                    "MASTER_PORT to a free port (python -m cxr_lightning.cluster.port prints one)."
                ) from None
            raise NobodyThereError(
                f"{self.place.node}: rank {self.place.rank} does not reach rank 0 on {self.host}:{self.port} within "
                f"{patience.total_seconds():.0f} s ({told}). Remedy: see that {self.host} is up and its name resolves "
                "here, that no firewall is between, and name the interface in slurm/site.sh."
            ) from None

    def call_roll(self) -> Roll:
        """Waits for all ranks, and tells all who came; rank 0 calls it, the others `hear_roll`."""
        end, ranks = time.monotonic() + self.wait, range(self.place.ranks)
        keys = [f"here/{rank}" for rank in ranks]
        while not self.store.check(keys) and time.monotonic() < end:
            time.sleep(_LOOK)
        came = [rank for rank in ranks if self.store.check([keys[rank]])]
        nodes: dict[str, list[int]] = {}
        for rank in came:
            nodes.setdefault(self.store.get(keys[rank]).decode(), []).append(rank)
        roll = Roll(nodes, _missing(nodes, self.place), len(ranks))
        self.tell("roll", {"nodes": roll.nodes, "missing": roll.missing, "ranks": roll.ranks})
        return roll

    def hear_roll(self) -> Roll:
        """Waits until rank 0 has called the roll."""
        told = self.hear("roll", self.wait + _PATIENCE)
        if told is None:
            raise NobodyThereError(f"{self.place.node}: rank 0 on {self.host}:{self.port} came, and fell silent.")
        return Roll(told["nodes"], told["missing"], told["ranks"])

    def tell(self, key: str, value: Any) -> None:
        """Leaves plain data for others."""
        self.store.set(key, json.dumps(value))

    def hear(self, key: str, seconds: float, store: Any = None) -> Any:
        """Returns what another rank left, or None if it does not within the time."""
        store = store or self.store
        try:
            store.wait([key], timedelta(seconds=max(seconds, 0.001)))
            return json.loads(store.get(key))
        except (dist.DistError, RuntimeError):
            return None

    def hear_all(self, keys: Iterable[str], seconds: float) -> dict[str, Any]:
        """Returns what several left within one time; who left nothing is not in it."""
        end = time.monotonic() + seconds
        heard = {key: self.hear(key, end - time.monotonic()) for key in keys}
        return {key: value for key, value in heard.items() if value is not None}

    def together(self, name: str, count: int, seconds: float) -> None:
        """Waits until so many have called this, or no longer than the time."""
        end = time.monotonic() + seconds
        called = self.store.add(f"together/{name}", 1)
        while called < count and time.monotonic() < end:
            time.sleep(_LOOK / 5)
            called = self.store.add(f"together/{name}", 0)


def _missing(nodes: dict[str, list[int]], place: Place) -> dict[str, str]:
    """Names who lacks: nodes where the launcher told them, else ranks."""
    came = Counter({node: len(ranks) for node, ranks in nodes.items()})
    if place.expected:
        short = {node: (came[node], count) for node, count in place.expected.items() if came[node] < count}
        return {
            node: "did not come" if there == 0 else f"{there} of {count} ranks came"
            for node, (there, count) in short.items()
        }
    here = {rank for ranks in nodes.values() for rank in ranks}
    return {f"rank {rank}": "did not come" for rank in range(place.ranks) if rank not in here}
