"""The index and its shards: what was written is read, and what was damaged since is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import ShardIndex, read_index, verify
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions

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


def test_the_columns_cover_each_tar_but_its_end(shards):
    index = read_index(shards)
    verify(index)
    train = index.split("train")
    assert len(train) == index.counts["train"]["samples"] == len(train.keys)
    for number, path in enumerate(train.paths):
        mine = train.shard_id == number
        assert np.array_equal(train.offset[mine], np.cumsum(train.size[mine]) - train.size[mine])
        assert path.stat().st_size == train.size[mine].sum() + 1024


def test_an_empty_split_has_empty_columns(shards):
    split = read_index(shards).split("validate")
    assert len(split) == 0
    assert split.paths == ()
    assert split.offset.dtype == np.int64


def test_shards_without_an_index_are_refused(shards):
    (shards / "index.json").unlink()
    with pytest.raises(ShardError, match=r"index.json: no such file.*cxr pack"):
        read_index(shards)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "shards": [1]}']
)
def test_a_damaged_index_is_refused(shards, text):
    (shards / "index.json").write_text(text)
    with pytest.raises(ShardError, match="again"):
        read_index(shards)


def test_an_edited_index_is_refused(shards):
    edit(shards, fingerprint="0" * 64)
    with pytest.raises(ShardError, match="fingerprint"):
        read_index(shards)


def test_columns_of_unequal_length_are_refused(shards):
    record = json.loads((shards / "index.json").read_text())
    record["shards"][0]["samples"]["offset"].pop()
    edit(shards, shards=record["shards"])
    with pytest.raises(ShardError, match="differ in length"):
        read_index(shards)


def test_a_patient_in_two_splits_is_refused(shards):
    record = json.loads((shards / "index.json").read_text())
    first, last = record["shards"][0]["samples"], record["shards"][-1]["samples"]
    last["patient"][0] = first["patient"][0]
    edit(shards, shards=record["shards"])
    with pytest.raises(ShardError, match="two splits"):
        read_index(shards)


def test_a_shard_outside_the_folder_is_refused(shards):
    record = json.loads((shards / "index.json").read_text())
    record["shards"][0]["name"] = "../elsewhere.tar"
    edit(shards, shards=record["shards"])
    with pytest.raises(ShardError, match="leads out of the folder"):
        read_index(shards)


def named(index: ShardIndex) -> Path:
    return index.root / index.shards[0]["name"]


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
