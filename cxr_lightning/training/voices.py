"""One voice for all ranks: an error that all of them have is told once, one that a rank has alone with rank and node.

Ranks that fail meet for a moment in the store of their process group, or, before there is one, in a store that rank 0
opens beside it. It is a courtesy: where they do not meet within seconds, each tells its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

_PATIENCE = 3.0
"""Seconds that ranks wait for one another: they start and fail at about the same time."""


@dataclass(frozen=True)
class Place:
    """Where a rank stands among others.

    Attributes:
        rank: Its number.
        ranks: How many there are.
        address: Where rank 0 is.
        port: On which it has, or will have, the store of the process group.
    """

    rank: int
    ranks: int
    address: str
    port: int

    @classmethod
    def here(cls) -> Place | None:
        """Returns where this process stands, or None where it is alone, or cannot know."""
        from lightning.pytorch.plugins.environments import SLURMEnvironment

        told = os.environ
        with contextlib.suppress(KeyError, ValueError, RuntimeError):
            if dist.is_initialized():
                rank, ranks = dist.get_rank(), dist.get_world_size()
            elif SLURMEnvironment.detect():
                slurm = SLURMEnvironment(auto_requeue=False)  # which names rank 0's node and port, if nobody did
                rank, ranks, _, _ = slurm.global_rank(), int(told["SLURM_NTASKS"]), slurm.main_address, slurm.main_port
            else:
                rank, ranks = int(told["RANK"]), int(told["WORLD_SIZE"])
            return cls(rank, ranks, told["MASTER_ADDR"], int(told["MASTER_PORT"])) if ranks > 1 else None
        return None


def tell(message: str, place: Place | None = None) -> None:
    """Prints an error, unless another rank prints the same.

    Args:
        message: What to say.
        place: Where this rank stands; found out if not given.
    """
    place = place or Place.here()
    if place is None:
        print(message, file=sys.stderr)
    elif place.rank == 0:
        print(message, file=sys.stderr, flush=True)
        _meet(place, message)  # so that the others hear that it was told
    elif not _meet(place, message):
        print(f"Rank {place.rank} on {socket.gethostname()}: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Has what a parser prints before it gives up printed once."""
    place = Place.here()
    if place is None:
        yield
        return
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit:
        if printed.getvalue():
            tell(printed.getvalue().rstrip(), place)
        raise
    sys.stderr.write(printed.getvalue())


def _meet(place: Place, message: str) -> bool:
    """Returns whether another rank tells the same; gives up after a while, whatever the network does."""
    told: list[bool] = []

    def meet() -> None:
        with contextlib.suppress(Exception):  # of a store whose rank has gone, or that is none
            told.append(_heard(place, hashlib.sha256(message.encode()).hexdigest()))

    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    thread.join(3 * _PATIENCE)
    return bool(told) and told[0]


def _heard(place: Place, name: str) -> bool:
    begun = dist.is_initialized() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if place.rank == 0:
        store = _store(place, place.port if begun else place.port + 1, opens=not begun)
        store.set(f"{name}/told", "0")
        _until(lambda: store.add(f"{name}/heard", 0) >= place.ranks - 1)
        return False
    with contextlib.suppress(
        dist.DistError, ConnectionError
    ):  # rank 0 has not failed, or not before there was a process group
        store = _store(place, place.port if begun else place.port + 1)
        if _until(lambda: store.check([f"{name}/told"])):
            store.add(f"{name}/heard", 1)
            return True
        if begun:
            return _taken(store, place, name)
    return _taken(_store(place, place.port), place, name)


def _taken(store: Any, place: Place, name: str) -> bool:
    """Returns whether one of the others was quicker to tell what rank 0 does not."""
    return bool(store.compare_set(f"{name}/teller", "", str(place.rank)) != str(place.rank).encode())


def _store(place: Place, port: int, *, opens: bool = False) -> Any:
    """Returns a store; whether somebody listens is seen before, for the library would complain at length."""
    if not opens and not _until(lambda: _listens(place.address, port)):
        raise ConnectionError(f"nobody listens on {place.address}:{port}")
    store: Any = TCPStore(
        place.address, port, is_master=opens, timeout=timedelta(seconds=_PATIENCE), wait_for_workers=False
    )
    return store


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True


def _until(ready: Any) -> bool:
    end = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
