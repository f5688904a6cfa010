"""A sample is read as it was packed, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.reader import ShardReader


def test_every_sample_is_read_by_number(shards):
    split = read_index(shards).split("train")
    reader = ShardReader(split)
    assert [reader[number].key for number in range(len(reader))] == list(split.keys)


def test_one_flipped_bit_is_found_and_named(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "shards")
    split = read_index(tmp_path / "shards").split("train")
    path = Path(split.location(3))
    data = bytearray(path.read_bytes())
    data[int(split.offset[3]) + int(split.size[3]) // 2] ^= 1
    path.write_bytes(data)
    reader = ShardReader(split)
    assert reader[2].key == split.key(2)
    with pytest.raises(ShardError, match=split.key(3)):
        reader[3]
