"""Whole shards on the node's own disk: an index enters, what it lists is copied near, an index of the copies leaves.

A copy is named by its shard's digest, so one of other data is never taken for it, and sets and jobs that have shards in
common share them. It is hashed while it is copied, and has its name only when it is whole and on disk. One process of a
node copies while the others wait for its lock; whoever dies leaves what is whole to the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cxr_lightning.durable import sync
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardRecord
from cxr_lightning.shards.index import ShardIndex
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.site import shown
from cxr_lightning.stream.cache import STAGED, default_folder, private

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Shards copied at a time: one stream from a shared file system or a bucket fills neither the network nor the disk."""
_PARTIAL = ".partial"
_SPARE = 0.01
"""Share of what is copied that must be free beside it, for what the file system needs itself."""


class StagingError(ValueError):
    """Shards cannot be brought onto the node's disk; the message says which node, why, and what to do."""


@dataclass(frozen=True)
class Source:
    """A shard to be staged.

    Attributes:
        location: Where it lies now, by path or URL.
        shard: What the index says of it.
    """

    location: str
    shard: ShardRecord


class Staging:
    """A folder of whole shards on the node's own disk.

    Args:
        folder: A path; `$NAME` stands for an environment variable, which each node sets for itself.

    Raises:
        StagingError: If it is a URL, or names a variable that is not set.
    """

    def __init__(self, folder: str) -> None:
        path = os.path.expanduser(os.path.expandvars(folder))
        if storage.is_remote(path) or "$" in path:
            why = "a variable in it is not set on this node" if "$" in path else "it is a URL"
            raise StagingError(
                f"{socket.gethostname()}: shards cannot be staged to {folder}: {why}. Remedy: give --data.stage_to a "
                "folder on the node's own disk."
            )
        self.place = storage.local_path(path).absolute()
        self.folder = self.place / default_folder().name / STAGED

    def path(self, shard: ShardRecord) -> Path:
        """Returns where a shard's copy lies, or will."""
        name = shown(shard["name"]).rpartition("/")[2]
        return self.folder / f"{shard['sha256'][:32]}-{name[-100:]}"

    def lacking(self, sources: Sequence[Source]) -> list[Source]:
        """Returns what is not here yet, or no longer whole: folders for scratch are swept by age."""
        each = {self.path(source.shard): source for source in sources}  # a shard may be in two sets
        return [source for path, source in each.items() if _size(path) != source.shard["bytes"]]

    def free(self) -> int:
        """Returns the bytes that may still be written there."""
        there = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        return shutil.disk_usage(there).free

    def fill(self, sources: Sequence[Source], told: Callable[[int], None], waiting: Callable[[], None]) -> int:
        """Copies what lacks; returns the bytes that were.

        Args:
            sources: The shards.
            told: Called with the bytes of each stretch that is there.
            waiting: Called if another process of the node copies, before waiting for it.

        Raises:
            StagingError: If there is no room, or a shard cannot be read, or is not what the index lists.
            CacheError: If the folder cannot be made, or belongs to somebody else.
        """
        for folder in (self.place, self.folder.parent, self.folder):
            private(folder, "--data.stage_to")
        with _only_one(self.folder / "lock", waiting):
            for left in self.folder.glob(f"*{_PARTIAL}"):  # of whoever was killed: only this process copies now
                left.unlink()
            lacking = self.lacking(sources)
            self._require_room(lacking, sources)
            self._copy_all(lacking, told)
        return sum(source.shard["bytes"] for source in lacking)

    def nearer(self, index: ShardIndex, sources: Sequence[Source]) -> ShardIndex:
        """Returns an index of the same samples, with the staged shards at their new place.

        Args:
            index: The index.
            sources: What was staged; other shards are read where they are.

        Raises:
            StagingError: If a copy is not seen by this process.
        """
        lacking = self.lacking(sources)
        if lacking:
            raise StagingError(
                f"{socket.gethostname()}: {len(lacking)} of {len(sources)} shards staged to {self.folder} are not seen "
                "by this process. Remedy: give --data.stage_to a folder that all tasks of a node share."
            )
        staged = {source.shard["sha256"] for source in sources}
        shards = tuple(
            _named(shard, str(self.path(shard)) if shard["sha256"] in staged else location)
            for shard, location in zip(index.shards, index.locations, strict=True)
        )
        return replace(index, shards=shards)

    def _require_room(self, lacking: Sequence[Source], sources: Sequence[Source]) -> None:
        needed, free = sum(source.shard["bytes"] for source in lacking), self.free()
        if needed * (1 + _SPARE) <= free:
            return
        ours = {self.path(source.shard).name for source in sources}
        others = [entry for entry in os.scandir(self.folder) if entry.name not in ours and entry.is_file()]
        held = sum(entry.stat().st_size for entry in others)
        old = f" {held / 1e9:.1f} GB there are of other shards (delete them in {self.folder}, if no job reads them), or"
        raise StagingError(
            f"{socket.gethostname()}: staging needs {needed / 1e9:.1f} GB in {self.place}, and {free / 1e9:.1f} GB are "
            f"free. Remedy:{old if held else ''} give --data.stage_to a larger disk, or leave it out: shards are then "
            "read where they lie, and --data.cache keeps what was read last."
        )

    def _copy_all(self, sources: Sequence[Source], told: Callable[[int], None]) -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="staging") as threads:
            copies = [threads.submit(self._copy, source, told, stop) for source in sources]
            try:
                done, _ = wait(copies, return_when=FIRST_EXCEPTION)
                failure = next(filter(None, (copy.exception() for copy in done)), None)
            finally:
                stop.set()  # the others end at their next stretch
                threads.shutdown(cancel_futures=True)
        if failure is not None:
            raise self._explained(failure) from failure
        if sources:
            sync(self.folder)

    def _copy(self, source: Source, told: Callable[[int], None], stop: threading.Event) -> None:
        """Copies a shard, once more where its digest differs: the way here may have been at fault."""
        final = self.path(source.shard)
        partial = final.with_name(final.name + _PARTIAL)
        for _ in range(2):
            sha256 = hashlib.sha256()
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for piece in storage.pieces(source.location, source.shard["bytes"]):
                    if stop.is_set():
                        return
                    sha256.update(piece)
                    file.write(piece)
                    told(len(piece))
                file.flush()
                os.fsync(file.fileno())
            if sha256.hexdigest() == source.shard["sha256"]:
                partial.rename(final)
                return
            told(-source.shard["bytes"])
        partial.unlink()
        raise StagingError(
            f"{socket.gethostname()}: {shown(source.location)}: not the shard that the index lists (SHA-256 "
            "differs), read twice. Remedy: copy the shard again; if the tar was changed on purpose, make the index "
            "again: cxr index."
        )

    def _explained(self, failure: BaseException) -> BaseException:
        if isinstance(failure, StorageError):
            return StagingError(f"{socket.gethostname()}: staging stopped: {failure}. Shards that are here stay.")
        if isinstance(failure, OSError):
            return StagingError(
                f"{socket.gethostname()}: {self.folder}: {failure.strerror or failure} while shards were staged; "
                f"{self.free() / 1e9:.1f} GB are free now. Shards that are here stay. Remedy: make room or mend the "
                "disk and start again, name another folder by --data.stage_to, or leave it out."
            )
        return failure


def sources_of(index: ShardIndex, wanted: set[str]) -> list[Source]:
    """Returns the shards of an index that are wanted, by their digests."""
    pairs = zip(index.locations, index.shards, strict=True)
    return [Source(location, shard) for location, shard in pairs if shard["sha256"] in wanted]


def _named(shard: ShardRecord, name: str) -> ShardRecord:
    return ShardRecord(name=name, bytes=shard["bytes"], sha256=shard["sha256"], samples=shard["samples"])


@contextmanager
def _only_one(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock that ends with its process."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return -1
