"""The loaders of one rank: equal steps everywhere, order from `Order`, work in parallel from any number of workers.

A worker fetches a whole optimizer step of its rank at once (all micro-batches of the accumulation), because the loss is
divided by the step's supervised tokens and they must be known before the first backward pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from cxr_lightning.shards.index import SplitIndex
from cxr_lightning.stream.encode import IGNORED, Encoder
from cxr_lightning.stream.order import Order, share
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import Batch, Layout, collate

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Place:
    """One rank among all.

    Attributes:
        rank: Its number.
        ranks: How many there are.
    """

    rank: int
    ranks: int


class _Fetch:
    """Reads, encodes and lays out samples by number."""

    def __init__(self, split: SplitIndex, encoder: Encoder, layout: Layout) -> None:
        self.reader, self.encoder, self.layout = ShardReader(split), encoder, layout

    def __call__(self, numbers: Sequence[int]) -> Batch:
        tokenizer = self.encoder.processor.tokenizer
        samples = [self.encoder(self.reader[int(number)]) for number in numbers]
        return collate(samples, self.layout, tokenizer.pad_token_id, self.encoder.typed_image_token)


class TrainSteps(Dataset[list[Batch]]):
    """Item k: this rank's micro-batches of optimizer step k."""

    def __init__(self, fetch: _Fetch, order: Order, micro_batch: int, place: Place) -> None:
        self.fetch, self.order, self.micro_batch, self.place = fetch, order, micro_batch, place

    def __getitem__(self, step: int) -> list[Batch]:
        pieces = share(self.order.batch(step), self.micro_batch, self.place.rank, self.place.ranks)
        batches = [self.fetch(piece.tolist()) for piece in pieces]
        supervised = sum(batch["supervised_in_step"] for batch in batches)
        for batch in batches:
            batch["supervised_in_step"] = supervised
        return batches


class TrainLoader:
    """Yields this rank's micro-batches from a step to the end of training.

    Lightning sees one long epoch; `len` counts all of it, also where the run begins in the middle.

    Args:
        steps: The data set of optimizer steps.
        first: First step to yield.
        last: Step after the last.
        accumulation: Micro-batches a step.
        workers: Worker processes; 0 reads in the training process.
        prefetch: Steps that each worker holds ready.
    """

    def __init__(
        self, steps: TrainSteps, *, first: int, last: int, accumulation: int, workers: int, prefetch: int
    ) -> None:
        self.steps, self.first, self.last, self.accumulation = steps, first, last, accumulation
        self.workers, self.prefetch = workers, prefetch
        self.waited = 0.0
        """Seconds in which the training process had to wait for data."""

    def __len__(self) -> int:
        return self.last * self.accumulation

    def __iter__(self) -> Iterator[Batch]:
        steps = iter(_data_loader(self.steps, range(self.first, self.last), self.workers, self.prefetch))
        while True:
            asked = time.perf_counter()
            batches = next(steps, None)
            self.waited += time.perf_counter() - asked
            if batches is None:
                return
            yield from batches


class ValidateBatches(Dataset[Batch]):
    """Item i: this rank's i-th validation batch. Ranks that run short repeat a sample with its loss switched off."""

    def __init__(self, fetch: _Fetch, samples: int, micro_batch: int, place: Place) -> None:
        self.fetch, self.samples, self.micro_batch, self.place = fetch, samples, micro_batch, place

    def __len__(self) -> int:
        return -(-self.samples // (self.micro_batch * self.place.ranks))

    def __getitem__(self, item: int) -> Batch:
        first = (item * self.place.ranks + self.place.rank) * self.micro_batch
        numbers = range(first, min(first + self.micro_batch, self.samples))
        if numbers:
            return self.fetch(numbers)
        batch = self.fetch([0])
        batch["targets_RL"].fill_(IGNORED)
        batch["supervised_in_step"] = batch["samples"] = 0
        return batch


def train_loader(
    split: SplitIndex,
    encoder: Encoder,
    order: Order,
    place: Place,
    *,
    layout: Layout,
    micro_batch: int,
    accumulation: int,
    first: int,
    last: int,
    workers: int,
    prefetch: int,
) -> TrainLoader:
    """Returns the training loader of one rank; see `TrainLoader` for the arguments."""
    steps = TrainSteps(_Fetch(split, encoder, layout), order, micro_batch, place)
    return TrainLoader(steps, first=first, last=last, accumulation=accumulation, workers=workers, prefetch=prefetch)


def validate_loader(
    split: SplitIndex,
    encoder: Encoder,
    place: Place,
    *,
    layout: Layout,
    micro_batch: int,
    samples: int,
    workers: int,
    prefetch: int,
) -> DataLoader[Batch]:
    """Returns the validation loader of one rank: each sample once over all ranks, equally many batches on each."""
    batches = ValidateBatches(_Fetch(split, encoder, layout), min(samples, len(split)), micro_batch, place)
    return _data_loader(batches, range(len(batches)), workers, prefetch)


def _data_loader(dataset: Dataset[_Item], items: range, workers: int, prefetch: int) -> DataLoader[_Item]:
    # Items come back in the sampler's order whatever worker made them, so their number never changes the run.
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=items,
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="fork" if workers else None,
    )
