"""What a server said, kept: lines of JSON that are on disk before whoever adds them goes on.

A line that was added survives a kill and a power cut; half a line, left by a process that died in it, spoils no other.
Threads that add at once share one wait for the disk, so that keeping does not cost what asking gains. Where a line
stands is told, so that a file of hundreds of thousands need not be held in memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.durable import tables

_PIECE = 1 << 14


class LedgerBusyError(ValueError):
    """Another process is adding to a ledger."""


class Ledger:
    """A file of lines, open for more; no other process may add to it meanwhile.

    Args:
        file: The file.
        mode: Who may read it, if it is made.

    Raises:
        LedgerBusyError: Another process is writing it.
        OSError: It cannot be opened.
    """

    def __init__(self, file: Path, mode: int = 0o666) -> None:
        self.file = file
        self._descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_APPEND, mode)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LedgerBusyError(f"{file} is being written by another process. Remedy: wait for it.") from None
        except OSError:
            pass  # a file system without locks: nobody can be kept out
        self._queueing, self._writing = threading.Lock(), threading.Lock()
        self._queue, self._open = list[bytes](), True
        self._failure: OSError | None = None
        self._end = os.fstat(self._descriptor).st_size
        if self._end and os.pread(self._descriptor, 1, self._end - 1) != b"\n":
            self._queue.append(b"\n")  # half a line
            self._end += 1

    def __enter__(self) -> Self:
        """Returns the ledger."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Lets others write."""
        self.close()

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields where each line stands, and what it says; what is no table of JSON is left out."""
        at = 0
        with self.file.open("rb") as file:
            for raw in file:
                for table in tables(raw):
                    yield at, table
                at += len(raw)

    def line(self, at: int) -> dict[str, Any]:
        """Returns one line.

        Args:
            at: Where it stands.
        """
        found = b""
        while b"\n" not in found:
            piece = os.pread(self._descriptor, _PIECE, at + len(found))
            if not piece:
                break
            found += piece
        return tables(found.partition(b"\n")[0])[0]

    def add(self, line: Mapping[str, Any]) -> int:
        """Adds a line and waits until it is on disk; threads may do so at once.

        Args:
            line: What it says.

        Returns:
            Where it stands; -1 once the ledger is closed: what comes after the end is not kept.

        Raises:
            OSError: It could not be written, and names the file; nor can any after it.
        """
        data = json.dumps(line).encode() + b"\n"  # in ASCII: some letters that a model may say end a line
        with self._queueing:
            if not self._open:
                return -1
            at = self._end
            self._queue.append(data)
            self._end += len(data)
        self._flush()
        return at

    def close(self) -> None:
        """Lets others write; who adds at this moment is heard."""
        with self._queueing:
            was_open, self._open = self._open, False
        if was_open:
            try:
                self._flush()
            finally:
                with self._writing:
                    os.close(self._descriptor)

    def _flush(self) -> None:
        """Writes what is queued, one thread for all that wait."""
        with self._writing:
            with self._queueing:
                batch, self._queue = b"".join(self._queue), []
            if batch and self._failure is None:
                try:
                    self._write(batch)
                except OSError as error:
                    told = f"{error.strerror}; what was added before is kept. Remedy: make room, then the same again"
                    self._failure = OSError(error.errno, told, str(self.file))
            if self._failure is not None:
                raise self._failure

    def _write(self, batch: bytes) -> None:
        before = os.fstat(self._descriptor).st_size
        try:
            while batch:
                batch = batch[os.write(self._descriptor, batch) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise
