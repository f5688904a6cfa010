"""Shards as a configuration names them, and a position that refuses to mean something else."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import jsonargparse
import pytest
import yaml

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index, write_index
from cxr_lightning.shards.rows import ShardRows
from cxr_lightning.stream.datamodule import OtherShardsError, ShardDataModule
from cxr_lightning.stream.mixture import WeightError
from cxr_lightning.study import SPLITS

pytestmark = pytest.mark.quick


def built(*args: str) -> ShardDataModule:
    """Builds the data as `cxr fit` does from its options."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ShardDataModule, "data")
    parser.add_argument("--config", action="config")
    data = parser.instantiate_classes(parser.parse_args(["--data.global_batch", "8", *args])).data
    data.trainer = SimpleNamespace(global_step=3, max_steps=-1)
    return data


@pytest.fixture
def other(shards, tmp_path) -> Path:
    """The same set at another place."""
    folder = tmp_path / "other"
    shutil.copytree(shards, folder)
    return folder


def test_one_location_several_or_with_weights(shards, other, tmp_path):
    one = built("--data.shards", str(shards))
    end_to_end = built("--data.shards", f"[{shards}, {other}]")
    assert end_to_end.batches.order.samples == 2 * one.batches.order.samples
    assert end_to_end.passes() == [96 / 102] * 2  # whole batches of 8 out of twice 51
    file = tmp_path / "mixture.yaml"
    named = [{"path": str(shards), "weight": 3}, {"path": str(other), "weight": 1}]
    file.write_text(yaml.safe_dump({"data": {"shards": named, "epochs": 50.0}}))
    mixed = built("--config", str(file))
    assert mixed.passes() == pytest.approx([75, 25], rel=0.02)
    assert len(mixed.reader("validate")) == 2 * len(one.reader("validate"))
    with pytest.raises(WeightError, match="each set or to none"):
        built("--data.shards", f"[{{path: {shards}, weight: 2}}, {{path: {other}}}]")


def test_the_position_is_refused_where_the_order_would_be_another(shards, other):
    arguments = ["--data.shards", str(shards)]
    state = built(*arguments).state_dict()
    assert state["step"] == 3
    # All is one window, so its runs do not matter; nor does where the same shards lie, or how they are read.
    same = built("--data.shards", str(other), "--data.shuffle_run", "3", "--data.workers", "1", "--data.epochs", "7")
    same.load_state_dict(state)
    assert same.first_step == 3
    changes = {
        "seed": ["--data.seed", "1"],
        "order": ["--data.shuffle_window", "16", "--data.shuffle_run", "4"],
        "global_batch": ["--data.global_batch", "4"],
        "shards": ["--data.shards", f"[{shards}, {other}]"],
    }
    for name, change in changes.items():
        with pytest.raises(OtherShardsError, match=f"{name}="):
            built(*arguments, *change).load_state_dict(state)
    weighted = [
        built("--data.shards", f"[{{path: {shards}, weight: 1}}, {{path: {other}, weight: {w}}}]") for w in (1, 2)
    ]
    with pytest.raises(OtherShardsError, match="order="):
        weighted[1].load_state_dict(weighted[0].state_dict())


def test_a_cache_is_used_where_it_is_named_or_needed(shards, tmp_path, caplog):
    assert built("--data.shards", str(shards)).cache is None
    with caplog.at_level(logging.WARNING):
        small = built("--data.shards", str(shards), "--data.cache", str(tmp_path / "cache"), "--data.cache_gb", "1e-4")
    assert "raise --data.cache_gb" in caplog.text
    reader = small.reader("train")
    assert [reader[number].key for number in range(len(reader))] == list(reader.samples.splits[0].keys)
    kept = [path for path in (tmp_path / "cache" / "runs").iterdir() if path.name != "used"]
    assert sum(path.stat().st_size for path in kept) <= 100_000


def test_what_is_gone_is_told_before_a_run_begins(shards, other, caplog):
    gone = next(iter(sorted(other.glob("train-*.tar"))))
    gone.write_bytes(gone.read_bytes()[:-2048])
    with pytest.raises(ShardError, match=gone.name):
        built("--data.shards", str(other))
    built("--data.shards", str(other), "--data.max_bad", "0.9")
    assert f"{gone.name}: missing or cut off" in caplog.text
    with pytest.raises(ValueError, match="max_bad"):
        built("--data.shards", str(shards), "--data.max_bad", "1.5")


def test_whatever_fails_on_the_first_rank_ends_all(shards):
    class Broken:
        def __call__(self, sample):
            raise MemoryError("no room")

    data, sent = built("--data.shards", str(shards)), []
    data._encoder = Broken()
    data.trainer.strategy = SimpleNamespace(broadcast=lambda mine: sent.append(mine) or mine)
    with pytest.raises(MemoryError):
        data._lengths(0)
    data.trainer.strategy = SimpleNamespace(broadcast=lambda _: pickle.loads(pickle.dumps(sent[0])))
    with pytest.raises(ValueError, match="MemoryError: no room"):
        data._lengths(1)


def test_a_patient_may_not_be_in_two_splits_of_two_sets(shards, tmp_path):
    root = tmp_path / "turned"
    index = read_index(shards)
    turned = dict(zip(SPLITS, [*SPLITS[1:], SPLITS[0]], strict=True))
    listed = [
        ShardRows(str(shards / shard["name"]), shard["bytes"], shard["sha256"], {turned[split]: rows})
        for number, shard in enumerate(index.shards)
        for split in SPLITS
        if len(rows := index.rows[index.rows["shard"] == number]) and split in shard["samples"]
    ]
    write_index(root, listed, index.image)
    with pytest.raises(ShardError, match=r"patients are in one split of one set.*patient_key"):
        built("--data.shards", f"[{shards}, {root}]")
