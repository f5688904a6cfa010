"""Samples by number: one read of a byte range in a shard, nothing held but open files."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import SplitIndex
from cxr_lightning.shards.sample import RawSample, parse_sample


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
        """Reads one sample.

        Raises:
            ShardError: If its bytes are not those that the index was made of.
        """
        file, size = self._open(int(self.split.shard_id[number])), int(self.split.size[number])
        file.seek(int(self.split.offset[number]))
        block = file.read(size)
        if zlib.crc32(block) != int(self.split.crc32[number]):  # a flipped bit would otherwise train as a grey lung
            raise ShardError(
                f"{file.name}: sample {self.split.keys[number]} is not what the index lists (its checksum differs). "
                "Remedy: copy or pack the shard again; index.json and the tars must come from one `cxr pack`."
            )
        return parse_sample(block, f"{file.name}, sample {self.split.keys[number]}")

    def _open(self, shard: int) -> BinaryIO:
        if self._owner != os.getpid():
            self._files, self._owner = {}, os.getpid()
        if shard not in self._files:
            path: Path = self.split.paths[shard]
            self._files[shard] = path.open("rb")
        return self._files[shard]
