"""A bounded folder of shard runs on the node's own disk, shared by all its processes; no server, no daemon.

A run enters under a name that its content decides and is fetched by one process while the others wait for it. What was
not read for longest goes when there is no room. A process may be killed anywhere: a file has its name only when it is
whole, and locks end with their process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

RUNS, INDEXES, STAGED = "runs", "indexes", "staged"
"""What lies in folders of ours on a node: runs of shards, bounded, the rows of remote indexes, and whole shards."""
_KEPT = 0.9
"""Share of the limit that is left when room is made, so that not every new run has to look through the folder."""
_PARTIAL = ".partial"
_BOOK = "used"
"""The file with the bytes in use: a lock for whoever changes them, and the sum, lest each look through the folder."""


class CacheError(ValueError):
    """The folder of the cache cannot be used."""


class RunCache:
    """Stretches of shards by name.

    Safe in threads, in processes and after a fork: all it knows is in the folder.

    Args:
        folder: On the node's own disk. Made readable to its owner alone, since it holds radiographs.
        limit: Bytes that all files together may have.

    Raises:
        CacheError: If the folder cannot be made, or belongs to somebody else.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        if limit < 1:
            raise CacheError(f"--data.cache_gb of {limit / 1e9:g} holds nothing. Remedy: give the cache some room.")
        self.folder, self.limit = folder, limit
        self._warned = False
        for each in (folder.parent, folder.parent / INDEXES, folder):
            private(each)

    def read(self, name: str, size: int, offset: int, length: int, fetch: Callable[[], bytes]) -> bytes | None:
        """Reads a part of a run, which is fetched if it is not there; None where runs cannot be kept.

        Args:
            name: The run's; equal names, equal bytes.
            size: Bytes of the run.
            offset: First byte of the part.
            length: Bytes of the part.
            fetch: Returns the whole run.
        """
        path = self.folder / name
        part = _part(path, offset, length)
        if part is None and (self._warned or size > self.limit):
            return None  # a whole run for one sample, again and again, would be many times the transfers
        if part is None:
            whole = self._add(path, size, fetch)
            part = _part(path, offset, length) if whole is None else whole[offset : offset + length]
        # None once more: it went again before it was read, which only happens where room is very short.
        return fetch()[offset : offset + length] if part is None else part

    def forget(self, name: str) -> None:
        """Removes a run whose bytes turned out to be bad, so that it is fetched again."""
        (self.folder / name).unlink(missing_ok=True)

    def _add(self, path: Path, size: int, fetch: Callable[[], bytes]) -> bytes | None:
        """Fetches and keeps a run; returns it, or None where another process had kept it by then."""
        data: bytes | None = None
        try:
            with _claimed(path.with_name(path.name + _PARTIAL)) as partial:
                if path.exists():
                    return None
                room = self._reserve(partial, size)
                data = fetch()
                assert len(data) == size, (len(data), size)
                if room:
                    _write(partial, data)
                    path.with_name(path.name + _PARTIAL).rename(path)
        except OSError as error:  # a full or broken disk must not stop the training that it should speed up
            if not self._warned:
                log.warning("%s: %s; going on without keeping what is fetched", self.folder, error.strerror)
                self._warned = True
        return fetch() if data is None else data

    def _reserve(self, partial: int, size: int) -> bool:
        """Makes room before the bytes are there, so that the limit holds at any moment; False where there is none."""
        with (self.folder / _BOOK).open("a+b") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            book.seek(0)
            text = book.read()
            used = int(text) if text.isdigit() else self.limit
            if used + size > self.limit:
                used = self._make_room(int(self.limit * _KEPT) - size)
            fits = used + size <= self.limit
            if fits:
                os.ftruncate(partial, size)  # counted from now on by whoever looks through the folder
                used += size
            book.truncate(0)
            book.write(str(used).encode())
        return fits

    def _make_room(self, most: int) -> int:
        """Removes what was not read for longest until at most `most` bytes are left; returns how many are."""
        files = []
        for entry in os.scandir(self.folder):
            if entry.name != _BOOK and not (entry.name.endswith(_PARTIAL) and _abandoned(Path(entry.path))):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # whole by now, under its own name
                    continue
                files.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used <= most:
                break
            if not path.name.endswith(_PARTIAL):
                path.unlink(missing_ok=True)
                used -= size
        return used


def private(folder: Path, option: str = "--data.cache") -> None:
    """Makes a folder for its owner alone, or sees that it is ours.

    Args:
        folder: The folder.
        option: The option that names it, or the folder that it lies in.

    Raises:
        CacheError: If it cannot be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
    except OSError as error:
        raise CacheError(
            f"{folder} cannot be made for shards on the node ({error.strerror}). "
            f"Remedy: name a folder on the node's own disk by {option}."
        ) from None
    if not _is_ours(folder, status):
        raise CacheError(
            f"{folder} is not a folder of yours alone: others could replace what is kept there. "
            f"Remedy: name a folder of yours by {option}."
        )


def _is_ours(folder: Path, status: os.stat_result) -> bool:
    if folder.name not in (RUNS, INDEXES, STAGED, default_folder().name):
        return folder.is_dir()  # a place that the user named; what we make in it is looked at more closely
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not others_write


def default_folder() -> Path:
    """Returns the folder of this user's cache under the node's temporary folder."""
    return Path(tempfile.gettempdir()) / f"cxr-lightning-{os.getuid()}"


def _part(path: Path, offset: int, length: int) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        with suppress(OSError):
            os.utime(file)  # what was read last goes last; a mount's own access times are seldom kept
        return os.pread(file, length, offset)
    except OSError:  # a broken disk is no reason to call the sample bad
        return None
    finally:
        os.close(file)


@contextmanager
def _claimed(partial: Path) -> Iterator[int]:
    """Holds the sole right to make a file; waits while another process makes it."""
    while True:
        file = os.open(partial, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is(partial, file):
            break
        os.close(file)  # finished, or cleaned away, while this process waited: the lock is on what no longer is there
    try:
        yield file
    finally:
        if _is(partial, file):  # it was not finished
            partial.unlink()
        os.close(file)


def _is(path: Path, file: int) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def _abandoned(partial: Path) -> bool:
    """Removes a half-made file whose maker is gone: nobody holds its lock."""
    try:
        file = os.open(partial, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is(partial, file):
            partial.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.pwrite(file, rest, len(data) - len(rest)) :]
