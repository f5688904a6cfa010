"""Equal steps on every rank, the same samples for any number of workers, validation exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.lengths import Lengths, Line
from cxr_lightning.stream.loader import Fetch, Place, train_loader, validate_loader
from cxr_lightning.stream.order import Batches, Order
from cxr_lightning.stream.planning import Plan
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.samples import Samples

ALONE = Place(0, 1)


@pytest.fixture(scope="module")
def encoder(parts):
    return Encoder(load_processor(ModelSource(vision=parts["siglip"], language=parts["language"])), "summary", 1024)


def batches(shards, encoder, place=ALONE, workers=0, first=0):
    split = read_index(shards).split("train")
    return list(
        train_loader(
            Fetch(ShardReader(split), encoder, "packed"),
            Batches(Order(split.shard_lengths, 0), 8),
            Plan(Lengths(Samples.of(split), (Line(),), 1024), "packed", place.ranks, 4 // place.ranks),
            place.rank,
            first=first,
            last=5,
            workers=workers,
            prefetch=2,
        )
    )


def test_workers_do_not_change_the_batches(shards, encoder):
    alone, helped = batches(shards, encoder), batches(shards, encoder, workers=2)
    assert [batch["keys"] for batch in alone] == [batch["keys"] for batch in helped]
    assert all(
        torch.equal(a["inputs"]["input_ids"], b["inputs"]["input_ids"]) for a, b in zip(alone, helped, strict=True)
    )


def test_ranks_together_see_what_one_rank_sees(shards, encoder):
    one = batches(shards, encoder)
    two = [batches(shards, encoder, Place(rank, 2)) for rank in range(2)]
    assert len(two[0]) == len(two[1]) == len(one) // 2
    for step in range(5):
        alone = {key for batch in one[step * 4 : step * 4 + 4] for key in batch["keys"]}
        shared = {key for rank in two for batch in rank[step * 2 : step * 2 + 2] for key in batch["keys"]}
        assert alone == shared


def test_a_step_knows_its_supervised_tokens_before_it_begins(shards, encoder):
    for step in range(5):
        window = batches(shards, encoder)[step * 4 : step * 4 + 4]
        counted = sum(int((batch["targets_RL"] != -100).sum()) for batch in window)
        assert {batch["supervised_in_step"] for batch in window} == {counted}


def test_it_begins_where_the_run_stands(shards, encoder):
    whole, rest = batches(shards, encoder), batches(shards, encoder, first=3)
    assert [batch["keys"] for batch in rest] == [batch["keys"] for batch in whole[12:]]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_validation_sees_each_sample_once_in_equal_steps(shards, encoder, ranks):
    split = read_index(shards).split("train")
    loaders = [
        list(
            validate_loader(
                Fetch(ShardReader(split), encoder, "padded"),
                Place(rank, ranks),
                micro_batch=4,
                samples=37,
                workers=0,
                prefetch=2,
            )
        )
        for rank in range(ranks)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    seen = [key for loader in loaders for batch in loader if batch["samples"] for key in batch["keys"]]
    assert sorted(seen) == sorted(split.keys[:37])


@pytest.mark.parametrize("count", [0, 1, 7, 30, 1000])
def test_validation_takes_of_each_set_its_share(shards, count):
    small = read_index(shards).split("validate")
    large = read_index(shards).split("train")
    both = Samples((small, large), ((), ()))
    numbers = both.first(count)
    assert len(numbers) == min(count, len(both))
    assert len(set(numbers.tolist())) == len(numbers)
    here = int((numbers < len(small)).sum())
    assert abs(here - len(numbers) * len(small) / len(both)) < 1
    assert sorted(numbers.tolist()) == [*range(here), *range(len(small), len(small) + len(numbers) - here)]


def test_an_empty_split_has_no_first_samples(shards):
    nothing = replace(read_index(shards).split("validate"), rows=read_index(shards).split("validate").rows[:0])
    with np.errstate(all="raise"):
        numbers = Samples.of(nothing).first(5)
    assert (numbers.dtype, len(numbers)) == (np.int64, 0)
