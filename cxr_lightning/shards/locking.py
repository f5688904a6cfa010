"""Locks on a folder that comes and goes: who joins removes it, and who waited for that begins again.

Who works alone holds `lock` for itself. Parts share it, and share `joining` too, which the one that joins them takes
for itself once nobody makes any more. Where the file system has no locks, everybody has them: work is done twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

LOCK, JOINING = "lock", "joining"
_TRIES, _PAUSE = 10, 0.05
"""How often a lock is asked for, and seconds between: one who leaves an empty folder holds it for a moment."""


class _Lock:
    """One lock file."""

    def __init__(self, file: Path) -> None:
        self._file, self._descriptor = file, -1
        self.is_real = True

    def take(self, *, shared: bool, wait: bool) -> bool:
        """Takes it, and makes its folder; returns whether nobody else has it."""
        self.give_back()
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        while True:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # reports as they came
            try:
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:  # who held it has removed the folder at this moment
                continue
            try:
                fcntl.flock(self._descriptor, how)
            except BlockingIOError:
                self.give_back()
                return False
            except OSError:
                self.is_real = False
            if self.is_current():
                return True
            self.give_back()  # what we waited for was removed, and is nobody's

    def is_current(self) -> bool:
        """Tells whether the file that we hold still has its name."""
        try:
            return self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), self._file.stat())
        except FileNotFoundError:
            return False

    def give_back(self) -> None:
        """Lets others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class Locks:
    """Who may work in a folder.

    Args:
        folder: The folder, there or not.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work, self._join = _Lock(folder / LOCK), _Lock(folder / JOINING)

    def enter(self, *, together: bool) -> bool:
        """Makes the folder and begins to work there. Parts wait for one of them that joins.

        Args:
            together: Whether others that say so may work here at the same time.

        Returns:
            Whether nobody is in the way.

        Raises:
            OSError: The folder cannot be made.
        """
        for number in range(_TRIES):
            time.sleep(_PAUSE if number else 0)
            while self._work.take(shared=together, wait=False):
                if not together:
                    return True
                self._join.take(shared=True, wait=True)
                if self._work.is_current():
                    return True  # else the one that joined has removed the folder
        return False

    @property
    def are_real(self) -> bool:
        """Whether the file system has locks, so that nobody else is here."""
        return self._work.is_real

    def join(self) -> bool:
        """Waits until no other part makes anything, or joins.

        Returns:
            Whether there is something to join; else another part has done it, and removed the folder.
        """
        self._join.take(shared=False, wait=True)
        return self._work.is_current()

    def leave(self, nothing: frozenset[str]) -> None:
        """Ends to work; the folder goes, if nobody else is there and nothing else.

        Args:
            nothing: Names of folders in it that count as nothing while they are empty.
        """
        with contextlib.suppress(OSError):
            if {path.name for path in self._folder.iterdir()} <= {LOCK, JOINING, *nothing}:
                self._join.give_back()
                if self._work.take(shared=False, wait=False):
                    for name in nothing:
                        with contextlib.suppress(FileNotFoundError):
                            (self._folder / name).rmdir()
                    self.remove()
        self._work.give_back()
        self._join.give_back()
        with contextlib.suppress(OSError):  # once more: NFS keeps a removed file that is open
            self._folder.rmdir()

    def remove(self) -> None:
        """Removes the lock files, of which others notice that the folder goes."""
        for name in (JOINING, LOCK):
            (self._folder / name).unlink(missing_ok=True)
