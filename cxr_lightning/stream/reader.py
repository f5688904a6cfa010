"""Samples by number: one read of a byte range in a shard, nothing held but open files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from cxr_lightning.shards.index import SplitIndex
from cxr_lightning.shards.sample import RawSample, read_sample


class ShardReader:
    """Reads samples of a split in any order.

    Each process opens the shards for itself: a file handle shared with a forked worker would share its position.

    Args:
        split: The split's index.
    """

    def __init__(self, split: SplitIndex) -> None:
        self.split = split
        self._files: dict[int, BinaryIO] = {}
        self._owner = os.getpid()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, number: int) -> RawSample:
        shard = int(self.split.shard_id[number])
        return read_sample(self._open(shard), int(self.split.offset[number]), int(self.split.size[number]))

    def _open(self, shard: int) -> BinaryIO:
        if self._owner != os.getpid():
            self._files, self._owner = {}, os.getpid()
        if shard not in self._files:
            path: Path = self.split.paths[shard]
            self._files[shard] = path.open("rb")
        return self._files[shard]
