"""One job at a time in OUT: its lock, held by a process alone or by the ranks of one job together, and who still lives.

OUT/.lock is never removed, for whoever waits on a removed file keeps nobody out. Each rank holds OUT/answers/RANK.lock
while it works: what was seen held, and is free while answers are missing, belonged to a process that died.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_lightning.durable import tables
from cxr_lightning.evaluation.rank import Rank

NAME = ".lock"
_PATIENCE_SECONDS = 3.0
"""Fellows may hold a lock for as long as one writes down whose it is, or another looks whether it is held."""


class OtherAnswersError(ValueError):
    """A folder holds answers of another model, to other questions, or is being written by somebody else."""


class Lock:
    """A file that is locked while its holder lives, and says who that is.

    Args:
        file: The file.
        make: Make it if it is absent.
    """

    def __init__(self, file: Path, *, make: bool = True) -> None:
        self.descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if make else 0), 0o666)

    def take(self, how: int) -> bool:
        """Tries to get the lock.

        Args:
            how: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

        Returns:
            False if somebody else has it; True also on a file system without locks, where nobody can be kept out.
        """
        try:
            fcntl.flock(self.descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def write(self, told: Mapping[str, Any]) -> None:
        """Writes down who holds it."""
        data = json.dumps(told).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, data, 0)

    def read(self) -> dict[str, Any]:
        """Returns who wrote last; nothing if nobody did."""
        told = tables(os.pread(self.descriptor, 4096, 0))
        return told[0] if told else {}

    def close(self) -> None:
        """Lets it go; a second time it does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def hold(out: Path, rank: Rank) -> Lock:
    """Takes a folder for this process, or for the ranks of its job.

    Args:
        out: The folder.
        rank: Who wants it: alone, or one of several.

    Raises:
        OtherAnswersError: Another process, or another job, writes there.
    """
    lock = Lock(out / NAME)
    job = {"ranks": rank.count, "job": rank.job}
    until = time.monotonic() + (_PATIENCE_SECONDS if rank.count > 1 else 0.0)
    while True:
        if lock.take(fcntl.LOCK_EX):
            lock.write(job)
            if rank.count == 1:
                return lock
        # Between the two locks another job may slip in: what the file says under the second one is what counts.
        if rank.count > 1 and lock.take(fcntl.LOCK_SH):
            if lock.read() == job:
                return lock
            break
        if time.monotonic() >= until:
            break
        time.sleep(0.05)
    lock.close()
    raise OtherAnswersError(
        f"{out}: another evaluation writes its answers there. Remedy: wait for it, or name another --out."
    )


class Presence:
    """This rank among its fellows: that it lives, and which of them do not.

    Args:
        folder: Where the ranks' locks lie.
        rank: Which it is.

    Raises:
        OtherAnswersError: The same rank lives already.
    """

    def __init__(self, folder: Path, rank: Rank) -> None:
        self._folder, self._rank = folder, rank
        self._file = folder / f"{rank.name}.lock"
        self._lock = Lock(self._file)
        until = time.monotonic() + _PATIENCE_SECONDS  # a fellow may just be looking whether this rank lives
        while not (mine := self._lock.take(fcntl.LOCK_EX)) and time.monotonic() < until:
            time.sleep(0.05)
        if not mine:
            self._lock.close()
            raise OtherAnswersError(
                f"{folder}: another process is rank {rank.number} of {rank.count} there. Remedy: wait for it, or name "
                "another --out."
            )
        looks = {fellow: _look(self._path(fellow)) for fellow in rank.fellows}
        self._alive = {fellow for fellow, (held, _) in looks.items() if held}
        self._before = {fellow: told for fellow, (_, told) in looks.items()}
        # The time tells a rank that began from what it left when the same command was stopped.
        self._told = {"host": socket.gethostname(), "process": os.getpid(), "since": time.time_ns()}
        self._lock.write(self._told)

    def dead(self) -> list[Rank]:
        """Returns the fellows that ended too early: they say so, or were here and hold their lock no longer.

        Locks may not reach from node to node; so one that says nothing counts as dead on another node only if its lock
        was seen held. Hence this is asked while answers come, not only when they are waited for.
        """
        gone = []
        for fellow in self._rank.fellows:
            held, told = _look(self._path(fellow))
            if held:
                self._alive.add(fellow)
                continue
            seen = fellow in self._alive
            began = seen or (bool(told) and told != self._before[fellow])
            near = seen or told.get("host") == self._told["host"]
            killed = held is False and near and not told.get("done")
            if began and (killed or told.get("failed")):
                gone.append(fellow)
        return gone

    def end(self, *, done: bool) -> None:
        """Says that this rank is through.

        Args:
            done: Whether all of its answers are there.
        """
        with contextlib.suppress(OSError):  # a full disk: then the lock alone tells
            self._lock.write({**self._told, "done" if done else "failed": True})
        self._lock.close()

    def forget(self) -> None:
        """Removes its file, when nobody needs to know any more, and the folder after the last."""
        self._file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are there, or it is gone
            self._folder.rmdir()

    def _path(self, rank: Rank) -> Path:
        return self._folder / f"{rank.name}.lock"


def _look(file: Path) -> tuple[bool | None, dict[str, Any]]:
    """Says whether a lock is held, None if that cannot be known, and what its holder wrote."""
    try:
        lock = Lock(file, make=False)
    except OSError:
        return None, {}
    told: dict[str, Any] = {}
    held: bool | None = None
    try:
        told = lock.read()
        fcntl.flock(lock.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        held = False
    except BlockingIOError:
        held = True
    except OSError:
        pass
    finally:
        lock.close()
    return held, told
