"""A file on its way: what came of it so far, and of which version of the file that is.

The parts of two versions are never joined: without the version's mark, beside the bytes or in memory, it begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20
WORTH_KEEPING = 1 << 20
"""Bytes above which a file's mark is written to disk. Below, a killed download begins the file anew: to write the mark
of each of 377,110 small files would cost more than a few of their beginnings."""


class Partial:
    """What came of a file so far.

    Args:
        file: Where the bytes lie; what is there of an earlier run is kept if its mark is.

    Attributes:
        file: Where the bytes lie.
        mark: The server's name of this version (ETag or date); empty if it has none.
        size: Bytes that are there.
        most: Most bytes that ever were there: who falls back has gained nothing until they are there again.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._note = file.with_name(file.name + ".mark")
        self.mark = ""
        with contextlib.suppress(FileNotFoundError):
            self.mark = self._note.read_text()
        self.size = file.stat().st_size if self.mark and file.exists() else 0
        self.most = self.size
        self._hash = hashlib.sha256()
        self._hashed = 0

    def restart(self, mark: str = "") -> None:
        """Begins anew.

        Args:
            mark: The version that comes now.
        """
        if self.mark != mark:
            self._note.unlink(missing_ok=True)
        self.mark, self.size = mark, 0
        self._hash, self._hashed = hashlib.sha256(), 0
        with self._opened("wb"):
            pass

    @contextlib.contextmanager
    def writing(self) -> Iterator[Partial]:
        """Opens it for more bytes."""
        self._catch_up()
        with self._opened("r+b" if self.file.exists() else "wb") as self._out:
            self._out.truncate(self.size)
            self._out.seek(self.size)
            yield self

    def write(self, data: bytes) -> None:
        """Adds bytes."""
        self._out.write(data)
        if self.size < WORTH_KEEPING <= self.size + len(data) and self.mark:
            self._out.flush()
            self._note.write_text(self.mark)
        self._hash.update(data)
        self.size += len(data)
        self._hashed = self.size
        self.most = max(self.most, self.size)

    def grown(self) -> int:
        """Takes notice of bytes that another program added, and returns how many."""
        before = self.size
        self.size = self.file.stat().st_size if self.file.exists() else 0
        self.most = max(self.most, self.size)
        return max(0, self.size - before)

    def sha256(self) -> str:
        """Returns the checksum of all that is there."""
        self._catch_up()
        return self._hash.hexdigest()

    def become(self, target: Path, mode: int) -> None:
        """Takes its place, at once and whole.

        Args:
            target: The place.
            mode: Who may read it.
        """
        self.file.chmod(mode)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.file.replace(target)
        self._note.unlink(missing_ok=True)

    def _opened(self, how: str) -> BinaryIO:
        return open(self.file, how, opener=lambda path, flags: os.open(path, flags, 0o600))  # type: ignore[return-value]

    def _catch_up(self) -> None:
        """Hashes what an earlier run, or another program, left."""
        if self._hashed > self.size:
            self._hash, self._hashed = hashlib.sha256(), 0
        if self._hashed == self.size:
            return
        with self.file.open("rb") as content:
            content.seek(self._hashed)
            while self._hashed < self.size:
                block = content.read(min(_BLOCK, self.size - self._hashed))
                if not block:
                    raise OSError(f"{self.file}: shorter than it was a moment ago")
                self._hash.update(block)
                self._hashed += len(block)


def sha256_of(file: Path) -> str:
    """Returns a file's checksum."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
