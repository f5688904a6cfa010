"""The index and its shards: what was written is read, and what was damaged since is noticed."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.shards.contract import ImageRecord, ShardError
from cxr_lightning.shards.index import ShardIndex, read_index, write_index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.rows import Row, ShardRows, rows_of
from cxr_lightning.shards.sample import RawSample, read_sample
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.shards.verification import verify

from .tables import table_of

pytestmark = pytest.mark.quick


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    pack("table", table_of(tmp_path / "in"), out=tmp_path / "out", split=Fractions(0.5, 0.0, 0.5), samples_per_shard=3)
    return tmp_path / "out"


def edit(root: Path, **changes: object) -> None:
    record = json.loads((root / "index.json").read_text())
    record.update(changes)
    (root / "index.json").write_text(json.dumps(record))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_rows_cover_each_tar_but_its_end(shards):
    index = read_index(shards)
    verify(index)
    train = index.split("train")
    assert len(train) == index.counts["train"]["samples"] == len(train.keys) == train.shard_lengths.sum()
    assert len(index.shards) == len(train.locations) == len(train.shard_lengths) > 2
    start = 0
    for number, length in enumerate(train.shard_lengths):
        mine = slice(start, start := start + length)
        assert set(train.shard[mine]) <= {number}
        assert np.array_equal(train.offset[mine], np.cumsum(train.size[mine]) - train.size[mine])
        assert not length or Path(train.locations[number]).stat().st_size == train.size[mine].sum() + 1024


def test_an_empty_split_has_no_rows(shards):
    split = read_index(shards).split("validate")
    assert len(split) == 0
    assert split.keys == ()
    assert not split.shard_lengths.any()
    assert split.offset.dtype == np.int64


def test_rows_are_mapped_and_shared_not_copied(shards):
    index = read_index(shards)
    rows = index.split("test").rows
    assert np.shares_memory(rows, index.rows)
    assert not rows.flags.writeable
    while isinstance(rows, np.ndarray):
        rows = rows.base
    assert isinstance(rows, mmap.mmap)


def test_a_moved_folder_is_the_same_data(shards, tmp_path):
    before = read_index(shards)
    shards.rename(tmp_path / "moved")
    after = read_index(f"file://{tmp_path}/moved")
    verify(after)
    assert after.fingerprint == before.fingerprint
    assert after.split("train").read(0) == pack_of(after, 0)


def pack_of(index: ShardIndex, number: int) -> RawSample:
    split = index.split("train")
    with open(split.location(number), "rb") as file:
        return read_sample(file, int(split.offset[number]), int(split.size[number]))


def test_shards_without_an_index_are_refused(shards):
    (shards / "index.json").unlink()
    with pytest.raises(ShardError, match=r"index.json: no such file.*cxr pack"):
        read_index(shards)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": 2}', '{"schema": 2, "shards": [1]}']
)
def test_a_damaged_index_is_refused(shards, text):
    (shards / "index.json").write_text(text)
    with pytest.raises(ShardError, match="again"):
        read_index(shards)


def test_an_edited_index_is_refused(shards):
    edit(shards, fingerprint="0" * 64)
    with pytest.raises(ShardError, match="fingerprint"):
        read_index(shards)


def test_an_index_of_schema_1_is_refused_with_the_way_out(shards):
    edit(shards, schema=1)
    with pytest.raises(ShardError, match=rf"schema 1.*cxr index {shards}"):
        read_index(shards)


def test_counts_that_do_not_add_up_are_refused(shards):
    record = json.loads((shards / "index.json").read_text())
    record["shards"][0]["samples"]["train"] += 1
    edit(shards, shards=record["shards"])
    with pytest.raises(ShardError, match="add up"):
        read_index(shards)


@pytest.mark.parametrize(
    "data", [b"", b"noise", b"\x93NUMPY", pytest.param(None, id="cut"), pytest.param(np.arange(3), id="numbers")]
)
def test_damaged_rows_are_refused(shards, data):
    if isinstance(data, np.ndarray):
        np.save(shards / "index.npy", data)
    else:
        (shards / "index.npy").write_bytes((shards / "index.npy").read_bytes()[:-1] if data is None else data)
    with pytest.raises(ShardError, match=r"index.npy.*again"):
        read_index(shards)


def test_rows_that_hide_a_pickle_are_never_unpickled(shards):
    np.save(shards / "index.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ShardError, match="again"):
        read_index(shards)


def test_missing_rows_are_named(shards):
    (shards / "index.npy").unlink()
    with pytest.raises(ShardError, match=r"index.npy: no such file"):
        read_index(shards)


def test_edited_rows_are_noticed_before_training(shards):
    flip(shards / "index.npy", -5)
    with pytest.raises(ShardError, match="not the file"):
        verify(read_index(shards), digests=False)


def test_a_patient_in_two_splits_is_never_written(tmp_path):
    def row(offset: int) -> Row:
        return Row(b"%d" % offset, b"p", 0, offset, 512, 1, 1, 0)

    shard = ShardRows("a.tar", 2048, "0" * 64, {"train": rows_of([row(0)]), "test": rows_of([row(512)])})
    with pytest.raises(ShardError, match="two splits"):
        write_index(tmp_path, [shard], ImageRecord(size=1, format="jpg"))
    assert not list(tmp_path.iterdir())


def test_equal_samples_give_equal_bytes(shards, tmp_path):
    pack("table", tmp_path / "in", out=tmp_path / "twice", split=Fractions(0.5, 0.0, 0.5), samples_per_shard=3)
    for name in ("index.npy", "index.json"):
        assert (tmp_path / "twice" / name).read_bytes() == (shards / name).read_bytes()


def test_a_shard_outside_the_folder_is_refused(shards):
    record = json.loads((shards / "index.json").read_text())
    record["shards"][0]["name"] = "../elsewhere.tar"
    edit(shards, shards=record["shards"])
    with pytest.raises(ShardError, match="leads out of the folder"):
        read_index(shards)


def named(index: ShardIndex) -> Path:
    return Path(index.locations[0])


def test_a_flipped_bit_names_shard_and_sample(shards):
    index = read_index(shards)
    flip(named(index), 600)
    verify(index, digests=False)
    with pytest.raises(ShardError, match=rf"{named(index).name}: SHA-256 differs.*{index.split('train').keys[0]}"):
        verify(index)


def test_a_flipped_bit_outside_every_sample_is_noticed(shards):
    index = read_index(shards)
    flip(named(index), -1)
    with pytest.raises(ShardError, match="outside every sample"):
        verify(index)


def test_a_short_or_missing_shard_is_noticed_without_reading_it(shards):
    index = read_index(shards)
    named(index).write_bytes(named(index).read_bytes()[:-512])
    (shards / index.shards[1]["name"]).unlink()
    with pytest.raises(ShardError, match=r"(?s)bytes, and the index says.*missing"):
        verify(index, digests=False)


def test_an_unknown_split_is_named(shards):
    with pytest.raises(ValueError, match="'valid'"):
        read_index(shards).split("valid")
