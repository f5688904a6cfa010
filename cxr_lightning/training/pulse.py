"""Where every rank stands, in files that the others can read: RUN/pulse/rank-N, written again every few seconds.

Files and not the store of the process group: that lives in rank 0, and is silent when rank 0 is what hangs.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "pulse"
_HELD = "debugger"
_taking: list[None] = []


@dataclass(frozen=True)
class Beat:
    """What a rank last said.

    Attributes:
        rank: Which.
        host: Its node.
        process: Its process there.
        moves: How many things it has begun: a rank with fewer than the others is the one they wait for.
        doing: What it was doing.
        since: When it began with that, in seconds since 1970.
        at: When it said so.
    """

    rank: int
    host: str
    process: int
    moves: int
    doing: str
    since: float
    at: float


def tell(run: Path, rank: int, moves: int, doing: str, since: float) -> None:
    """Writes where this rank stands."""
    beat = Beat(rank, socket.gethostname(), os.getpid(), moves, doing, since, time.time())
    (run / FOLDER / f"rank-{rank}").write_text(json.dumps(asdict(beat)))


def beats(run: Path) -> list[Beat]:
    """Returns what every rank last said, by rank; one that is writing just now is left out."""
    found = []
    for path in (run / FOLDER).glob("rank-*"):
        try:
            found.append(Beat(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(found, key=lambda beat: beat.rank)


def hold(run: Path) -> None:
    """Says that this rank is in a debugger, whose user may take his time."""
    (run / FOLDER / _HELD).touch()


def held(run: Path, rank: int, seconds: float) -> bool:
    """Returns whether a rank said so not long ago, by the clock of the file server: nodes' clocks differ.

    Args:
        run: The run directory.
        rank: This rank, which has just said where it stands.
        seconds: How long ago is long.
    """
    folder = run / FOLDER
    try:
        return (folder / f"rank-{rank}").stat().st_mtime - (folder / _HELD).stat().st_mtime < seconds
    except FileNotFoundError:
        return False


@contextmanager
def taking_time() -> Iterator[None]:
    """Marks what takes as long as it takes, and notices by itself if a rank is lost: hours of computing features."""
    _taking.append(None)
    try:
        yield
    finally:
        _taking.pop()


def unhurried() -> bool:
    """Returns whether this process does such a thing."""
    return bool(_taking)


def clear(run: Path) -> None:
    """Deletes what the ranks said, at the beginning and at an orderly end."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)
