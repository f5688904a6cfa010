"""The loaders of one rank: equal steps everywhere, order from `Order`, work in parallel from any number of workers.

A worker fetches a whole optimizer step of its rank at once (all micro-batches of the accumulation), because the loss is
divided by the step's supervised tokens and they must be known before the first backward pass.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from cxr_lightning.shards.storage import StorageError
from cxr_lightning.site import shown
from cxr_lightning.stream.ahead import Ahead
from cxr_lightning.stream.conversation import UnstableTemplateError
from cxr_lightning.stream.encode import Encoded, Encoder
from cxr_lightning.stream.features import FeatureReader
from cxr_lightning.stream.order import Batches
from cxr_lightning.stream.planning import Plan
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import Batch, Layout, collate, pin
from cxr_lightning.stream.skipped import UNREADABLE, UNUSABLE, Skipped, reason

log = logging.getLogger(__name__)

_PATIENCE = 8
"""Samples in a row that storage may fail to give, each after all its attempts."""


@dataclass(frozen=True)
class Place:
    """One rank among all.

    Attributes:
        rank: Its number.
        ranks: How many there are.
    """

    rank: int
    ranks: int


class Fetch:
    """Reads, encodes and lays out samples by number; leaves out bad ones and says which.

    Args:
        reader: Of the split.
        encoder: For the model.
        layout: Of the rows.
        features: Of the split, where a frozen tower's are read instead of images.
    """

    def __init__(
        self, reader: ShardReader, encoder: Encoder, layout: Layout, features: FeatureReader | None = None
    ) -> None:
        self.reader, self.encoder, self.layout, self.features = reader, encoder, layout, features
        self._nothing: Encoded | None = None
        self._unreachable = 0

    def __call__(self, numbers: Sequence[int]) -> Batch:
        """Returns one micro-batch.

        Where no image is left, or none was asked for, a stand-in is laid out that teaches nothing: ranks compute alike
        whatever they read.

        Args:
            numbers: Numbers of the samples.
        """
        outcomes = [self._encode(int(number)) for number in numbers]
        try:
            batch = self._lay(outcomes)
        except UNUSABLE:  # one of them cannot be resized
            pairs = zip(numbers, outcomes, strict=True)
            outcomes = [self._tried_alone(int(number), outcome) for number, outcome in pairs]
            batch = self._lay(outcomes)
        pairs = zip(numbers, outcomes, strict=True)
        kept = [int(number) for number, outcome in pairs if isinstance(outcome, Encoded)]
        batch["sources"] = [self.reader.samples.locate(number)[0] for number in kept]
        batch["skipped"] = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
        return pin(batch) if torch.cuda.is_available() else batch

    def _lay(self, outcomes: Sequence[Encoded | Skipped]) -> Batch:
        samples = [outcome for outcome in outcomes if isinstance(outcome, Encoded)]
        token = self.encoder.processor.tokenizer.pad_token_id
        enough = samples and (not self.encoder.sees or any(sample.images for sample in samples))
        stand_in = None if enough else self._stand_in()
        return collate(samples, self.layout, token, self.encoder.typed_image_token, self.encoder.pixels, stand_in)

    def _tried_alone(self, number: int, outcome: Encoded | Skipped) -> Encoded | Skipped:
        """Returns what cannot be laid out by itself as skipped."""
        if isinstance(outcome, Encoded):
            try:
                self._lay([outcome])
            except UNUSABLE as error:
                return self._skipped(number, error)
        return outcome

    def _encode(self, number: int) -> Encoded | Skipped:
        try:
            raw = self.reader[number]
        except UNREADABLE as error:
            self._give_up_on_storage(error)
            return self._skipped(number, error)
        try:
            encoded = self.encoder(raw, None if self.features is None else partial(self.features, number))
        except UnstableTemplateError:  # the configuration's fault, not the sample's
            raise
        except UNUSABLE as error:
            self._give_up_on_storage(error)  # that of features, which the encoder reads
            return self._skipped(number, error)
        self._unreachable = 0
        return encoded

    def _skipped(self, number: int, error: Exception) -> Skipped:
        samples = self.reader.samples
        shard = shown(samples.location(number))
        return Skipped(samples.name, number, samples.label(number), shard, reason(error))

    def _give_up_on_storage(self, error: Exception) -> None:
        """Stops where storage fails for one sample after the other: then they are not what is bad."""
        if not isinstance(error, StorageError) or not error.unreachable:
            return
        self._unreachable += 1
        if self._unreachable >= _PATIENCE:
            raise error

    def _stand_in(self) -> Encoded:
        if self._nothing is None:
            self._nothing = self.encoder.stand_in()
        return self._nothing


class TrainSteps:
    """Item k: this rank's micro-batches of optimizer step k."""

    def __init__(self, fetch: Fetch, order: Batches, plan: Plan, rank: int) -> None:
        self.fetch, self.order, self.plan, self.rank = fetch, order, plan, rank

    def __getitem__(self, step: int) -> list[Batch]:
        batches = [self.fetch(row.tolist()) for row in self.plan.rows(self.order.batch(step), self.rank)]
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
        workers: Threads that prepare steps ahead; 0 prepares each when it is asked for.
        prefetch: Steps that each of them may hold ready.
    """

    def __init__(
        self, steps: TrainSteps, *, first: int, last: int, accumulation: int, workers: int, prefetch: int
    ) -> None:
        self.steps, self.first, self.last, self.accumulation = steps, first, last, accumulation
        self.workers, self.prefetch = workers, prefetch
        self.waited = 0.0
        """Seconds in which training had to wait for data."""

    def __len__(self) -> int:
        return self.last * self.accumulation

    def __iter__(self) -> Iterator[Batch]:
        # Results come in the order of the items whatever worker made them, so their number never changes the run.
        steps = iter(Ahead(self.steps.__getitem__, range(self.first, self.last), self.workers, self.prefetch))
        while True:
            asked = time.perf_counter()
            batches = next(steps, None)
            self.waited += time.perf_counter() - asked
            if batches is None:
                return
            yield from batches


class ValidateBatches:
    """Item i: this rank's i-th validation batch. Ranks that run short compute a sample with its loss switched off."""

    def __init__(self, fetch: Fetch, samples: int, micro_batch: int, place: Place) -> None:
        self.fetch, self.micro_batch, self.place = fetch, micro_batch, place
        self.numbers = fetch.reader.samples.first(samples)

    def __len__(self) -> int:
        return -(-len(self.numbers) // (self.micro_batch * self.place.ranks))

    def __getitem__(self, item: int) -> Batch:
        first = (item * self.place.ranks + self.place.rank) * self.micro_batch
        return self.fetch(self.numbers[first : first + self.micro_batch].tolist())


def train_loader(
    fetch: Fetch, order: Batches, plan: Plan, rank: int, *, first: int, last: int, workers: int, prefetch: int
) -> TrainLoader:
    """Returns the training loader of one rank; see `TrainLoader` for the arguments."""
    steps = TrainSteps(fetch, order, plan, rank)
    return TrainLoader(
        steps, first=first, last=last, accumulation=plan.accumulation, workers=workers, prefetch=prefetch
    )


def validate_loader(
    fetch: Fetch, place: Place, *, micro_batch: int, samples: int, workers: int, prefetch: int
) -> Ahead[int, Batch]:
    """Returns the validation loader of one rank: each sample once over all ranks, equally many batches on each."""
    batches = ValidateBatches(fetch, samples, micro_batch, place)
    return Ahead(batches.__getitem__, range(len(batches)), workers, prefetch)
