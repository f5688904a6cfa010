"""Shards in object storage are read like those on disk, however often a connection breaks, and each run once a node."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.shards import storage
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.splitindex import ChecksumError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.cache import RunCache
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.order import Order
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.sets import ShardSet, ShardSets
from tests.objects import BUCKET, s3


@pytest.fixture
def bucket(shards, tmp_path, monkeypatch):
    """A copy of the shards in a bucket; every tenth connection to it breaks."""
    folder = shutil.copytree(shards, tmp_path / "shards")
    with s3(monkeypatch, folder, every=10) as proxy:
        yield proxy


URL = f"s3://{BUCKET}/shards"


def opened(tmp_path: Path, gigabytes: float = 1.0) -> tuple[ShardSets, RunCache]:
    return ShardSets.open(URL, tmp_path / "indexes"), RunCache(tmp_path / "runs", int(gigabytes * 1e9))


def test_a_pass_over_a_bucket_fetches_each_run_once(bucket, shards, tmp_path):
    sets, cache = opened(tmp_path)
    samples = sets.samples("train")
    readers = [ShardReader(samples, cache, run=8) for _ in range(2)]  # two ranks of a node
    order = sets.order(0, 8, 16)
    local = ShardReader(read_index(shards).split("train"))
    before = bucket.passed
    for place, number in enumerate(order.take(0, 2 * len(samples)).tolist()):
        here, there = local[number], readers[place % 2][number]
        assert (here.key, here.record, here.images) == (there.key, there.record, there.images)
    stored = int(sum(int(split.size.sum()) for split in samples.splits))
    assert bucket.passed - before < 1.3 * stored  # twice over all samples, by two readers
    assert bucket.cut > 0


def test_a_damaged_cache_is_fetched_again_and_a_damaged_shard_is_not_forever(bucket, tmp_path):
    sets, cache = opened(tmp_path)
    reader = ShardReader(sets.samples("train"), cache, run=8)
    kept = reader[3]
    for path in cache.folder.iterdir():
        if path.name != "used":
            path.write_bytes(b"\0" * path.stat().st_size)
    assert reader[3] == kept
    split = sets.samples("train").splits[0]
    rows = np.array(split.rows)
    rows["crc32"][3] ^= 1
    wrong = type(split)(split.name, split.locations, rows, split.shard_lengths, split.members)
    with pytest.raises(ChecksumError, match=split.key(3)):
        ShardReader(type(sets.samples("train"))((wrong,), sets.samples("train").digests), cache, run=8)[3]


def test_a_missing_shard_and_one_that_ends_early_lose_only_their_samples(bucket, shards, tmp_path):
    sets, cache = opened(tmp_path)
    samples = sets.samples("train")
    files, path = storage._opened(samples.location(0))
    whole = files.cat_file(path)
    last = int(samples.lengths[0]) - 1
    files.pipe_file(path, whole[: int(samples.splits[0].offset[last])])
    reader = ShardReader(samples, cache, run=8)
    assert reader[last - 1].key == samples.label(last - 1)
    with pytest.raises(StorageError):
        reader[last]
    files.rm_file(path)
    with pytest.raises(StorageError) as caught:
        ShardReader(samples)[0]
    assert caught.value.missing


def test_disk_and_bucket_are_the_same_data(bucket, shards, tmp_path):
    # A run may go on from the bucket what it began from disk.
    sets, _ = opened(tmp_path)
    assert sets.fingerprint == ShardSets.open(str(shards)).fingerprint
    two = ShardSets.open([ShardSet(URL, 1.0), ShardSet(str(shards), 3.0)], tmp_path / "indexes")
    reader = ShardReader(two.samples("train"), RunCache(tmp_path / "runs", 10**9), run=8)
    half = len(reader) // 2
    assert [reader[number].key for number in (0, half - 1)] == [reader[half + number].key for number in (0, half - 1)]
    numbers = two.order(0, 8, 16).take(0, 1000)
    assert int((numbers >= half).sum()) == 750


def test_runs_lie_inside_shards_and_cover_them(shards):
    samples = ShardSets.open(str(shards)).samples("train")
    for run in (1, 7, 64):
        rows = sorted({samples.run_rows(number, run) for number in range(len(samples))})
        assert [first for first, _ in rows] == [0, *(last for _, last in rows[:-1])]
        order = Order(samples.lengths, 0, run)
        assert [first for first, _ in rows] == order.run_first_R.tolist()


def test_staged_from_a_bucket_each_byte_comes_once_and_none_later(bucket, shards, tmp_path):
    data = ShardDataModule(URL, global_batch=8, cache=str(tmp_path / "cache"), stage_to=str(tmp_path / "scratch"))
    assert data.staging is not None
    before, size = bucket.passed, sum(source.shard["bytes"] for source in data.sources())
    assert data.staging.fill(data.sources(), lambda _: None, lambda: None) == size
    data.read_staged()
    assert bucket.passed - before < 1.3 * size
    before = bucket.passed
    there, here = ShardReader(read_index(shards).split("train")), data.reader("train")
    assert all(here[number] == there[number] for number in range(len(here)))
    assert (data.cache, bucket.passed) == (None, before)
