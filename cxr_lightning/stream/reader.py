"""Samples by number: one read of a byte range in a shard, from disk, or from storage by way of the node's cache.

The other samples of a run are wanted within the same window of the order, so a run is brought near as a whole: on disk,
the system is told to read it ahead into its own cache; from storage it is fetched and kept in the node's cache.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import OrderedDict
from typing import BinaryIO

from cxr_lightning.shards import storage
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.shards.splitindex import SplitIndex
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.cache import RunCache
from cxr_lightning.stream.order import RUN
from cxr_lightning.stream.samples import Samples

_OPEN_FILES = 256
"""Shards a process holds open; a set has thousands, and opening one on a cluster's file system takes milliseconds."""
_ANNOUNCED = 4096
"""Runs remembered as announced: those of several windows."""
_GAP = 1 << 19
"""Bytes of others between two samples of a run that are fetched along: a request costs more than half a megabyte."""


class ShardReader:
    """Reads samples of a split in any order, from any thread or forked process.

    Args:
        samples: The samples, or the split of one set.
        cache: Keeps runs on the node's disk. Without one, shards are read where they are.
        run: Samples of a run.
    """

    def __init__(self, samples: Samples | SplitIndex, cache: RunCache | None = None, run: int = RUN) -> None:
        self.samples = samples if isinstance(samples, Samples) else Samples.of(samples)
        self.cache, self.run = cache, run
        self._files: OrderedDict[str, BinaryIO] = OrderedDict()
        self._announced: OrderedDict[tuple[str, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> RawSample:
        """Reads one sample.

        Raises:
            ChecksumError: If its bytes are not those that the index was made of.
            ShardError: If they are no sample.
            StorageError: If they cannot be read.
        """
        which, row = self.samples.locate(number)
        split = self.samples.splits[which]
        block = self._block(number, split, row) if self.cache is None else self._cached(number, split, row, self.cache)
        return split.parse(row, block)

    def _block(self, number: int, split: SplitIndex, row: int) -> bytes:
        location, offset, size = split.location(row), int(split.offset[row]), int(split.size[row])
        if not storage.is_remote(location):
            try:
                file = self._open(location)  # held while it is read from, lest another thread's eviction closes it
                self._announce(number, split, location, file)
                # By position, for a file's own would be shared with threads and forked processes.
                return os.pread(file.fileno(), size, offset)
            except OSError:
                self._files.pop(location, None)  # storage tries again, and explains
        return storage.read_range(location, offset, size)

    def _announce(self, number: int, split: SplitIndex, location: str, file: BinaryIO) -> None:
        """Lets the system read the run ahead, in one stretch: twice as quick from a cold disk as sample by sample."""
        first, last = self.samples.run_rows(number, self.run)
        if (location, first) in self._announced:
            return
        self._announced[location, first] = None
        while len(self._announced) > _ANNOUNCED:
            self._announced.popitem(last=False)
        begin, end = int(split.offset[first]), int(split.offset[last - 1]) + int(split.size[last - 1])
        os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_WILLNEED)

    def _open(self, location: str) -> BinaryIO:
        file = self._files.get(location)
        if file is None:
            file = storage.local_path(location).open("rb", buffering=0)
            self._files[location] = file
            while len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)  # closed once no thread reads from it any more
        return file

    def _cached(self, number: int, split: SplitIndex, row: int, cache: RunCache) -> bytes:
        run = _Run(self.samples, number, self.run)
        for _ in range(2):
            try:
                block = cache.read(run.name, run.size, run.offset(row), int(split.size[row]), run.fetch)
            except StorageError as error:
                if error.missing:
                    raise
                return self._block(number, split, row)  # the sample may be readable where a neighbour is not
            if block is None:
                return self._block(number, split, row)
            if not _damaged(split, row, block):
                return block
            cache.forget(run.name)  # the cache's disk, or the way here, may be at fault: once more from storage
        return self._block(number, split, row)  # alone, before it is called bad


class _Run:
    """A run as the cache keeps it: its samples' bytes end to end, without what lies between them in the tar."""

    def __init__(self, samples: Samples, number: int, run: int) -> None:
        which, row = samples.locate(number)
        self.split = samples.splits[which]
        self.first, last = samples.run_rows(number, run)
        self.offsets = self.split.offset[self.first : last].tolist()
        self.sizes = self.split.size[self.first : last].tolist()
        self.location, self.size = self.split.location(row), sum(self.sizes)
        digest = samples.digests[which][int(self.split.shard[row])]
        cut = hashlib.sha256(repr((self.offsets, self.sizes)).encode()).hexdigest()[:16]  # indexes may differ
        self.name = f"{digest[:32]}-{self.offsets[0]}-{cut}"

    def offset(self, row: int) -> int:
        """Returns where a sample begins."""
        return sum(self.sizes[: row - self.first])

    def fetch(self) -> bytes:
        """Reads it from storage, in as few requests as make sense."""
        parts = []
        begin = 0
        for place in range(1, len(self.sizes) + 1):
            end = self.offsets[place - 1] + self.sizes[place - 1]
            if place == len(self.sizes) or self.offsets[place] - end > _GAP:
                parts += self._stretch(begin, place, end)
                begin = place
        return b"".join(parts)

    def _stretch(self, begin: int, last: int, end: int) -> list[bytes]:
        start = self.offsets[begin]
        block = storage.read_range(self.location, start, end - start)
        samples = zip(self.offsets[begin:last], self.sizes[begin:last], strict=True)
        return [block[offset - start : offset - start + size] for offset, size in samples]


def _damaged(split: SplitIndex, row: int, block: bytes) -> bool:
    return zlib.crc32(block) != int(split.crc32[row])
