"""Shard sets as a configuration names them: locations and weights enter, one numbering and one endless order leave."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import ShardIndex, read_index
from cxr_lightning.shards.verification import verify, verify_rows
from cxr_lightning.stream.cache import private
from cxr_lightning.stream.mixture import Mixture, WeightError
from cxr_lightning.stream.order import Endless, Order
from cxr_lightning.stream.samples import Samples
from cxr_lightning.stream.skipped import allowed
from cxr_lightning.stream.staging import Source, Staging, sources_of
from cxr_lightning.study import SPLITS, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardSet:
    """One set in a list of several.

    Args:
        path: Folder or URL with `index.json`.
        weight: Its share of all samples that are seen, in any unit. Give one to each set, or to none: then the sets are
            one, and each sample is seen once an epoch.
    """

    path: str
    weight: float | None = None


@dataclass(frozen=True)
class ShardSets:
    """Opened sets.

    Attributes:
        sets: As they were named.
        indexes: The index of each.
    """

    sets: tuple[ShardSet, ...]
    indexes: tuple[ShardIndex, ...]

    @classmethod
    def open(cls, shards: str | Sequence[ShardSet | str], cache: Path | None = None) -> ShardSets:
        """Opens the indexes of one location or several.

        Args:
            shards: A location, or a list of locations or sets.
            cache: Where the rows of remote indexes are kept.

        Raises:
            ShardError: If there is no index, it is not what the contract says, or a patient is in one split of one set
                and another split of another.
            CacheError: If the folder for the rows of remote indexes is somebody else's.
            WeightError: If some sets have a weight and others have none, or there is no set.
        """
        named = [shards] if isinstance(shards, str) else shards
        sets = tuple(ShardSet(each) if isinstance(each, str) else each for each in named)
        weighted = [each.weight is not None for each in sets]
        if not sets or any(weighted) != all(weighted):
            raise WeightError("--data.shards: give a weight to each set or to none, and at least one set.")
        if cache is not None and any(storage.is_remote(each.path) for each in sets):
            private(cache.parent)
            private(cache)
        indexes = tuple(read_index(each.path, cache) for each in sets)
        for index in indexes:
            verify_rows(index)  # half copied, rows of another index would be other samples under the same numbers
        _warn_of_repeats(indexes)
        if len(indexes) > 1:
            _refuse_shared_patient(indexes)
        return cls(sets, indexes)

    @property
    def fingerprint(self) -> str:
        """Digest over all sets in their order."""
        prints = [index.fingerprint for index in self.indexes]
        return prints[0] if len(prints) == 1 else hashlib.sha256("\n".join(prints).encode()).hexdigest()

    @property
    def remote(self) -> bool:
        """Whether a shard lies elsewhere than in a file system."""
        return any(storage.is_remote(place) for index in self.indexes for place in index.locations)

    def samples(self, split: Split) -> Samples:
        """Returns one split of all sets under one numbering."""
        digests = tuple(tuple(shard["sha256"] for shard in index.shards) for index in self.indexes)
        return Samples(tuple(index.split(split) for index in self.indexes), digests)

    def sources(self, wanted: set[str]) -> list[Source]:
        """Returns the shards to be staged, by their digests."""
        return [source for index in self.indexes for source in sources_of(index, wanted)]

    def nearer(self, staging: Staging, wanted: set[str]) -> ShardSets:
        """Returns the same sets, with the wanted shards read from where they were staged.

        Raises:
            StagingError: If they are not all there.
        """
        return replace(self, indexes=tuple(staging.nearer(each, sources_of(each, wanted)) for each in self.indexes))

    def order(self, seed: int, run: int, window: int) -> Endless:
        """Returns the endless order of the training split.

        Raises:
            TooFewSamplesError: If it, or that of a weighted set, is empty.
            WeightError: If a set's share is too small to be seen.
        """
        weights = [each.weight for each in self.sets if each.weight is not None]
        if not weights:
            return Order(self.samples("train").lengths, seed, run, window)
        lengths = [index.split("train").shard_lengths for index in self.indexes]
        return Mixture([Order(each, seed, run, window, n) for n, each in enumerate(lengths)], weights, seed)

    def require_shards(self, share: float) -> None:
        """Looks for missing and cut-off shards before a run begins, rather than an hour into it.

        Remote ones are found when they are read: a set has thousands, and each question takes a journey.

        Args:
            share: Share of a split's samples that may be bad; where fewer are gone, the run begins with a warning.

        Raises:
            ShardError: If more are gone.
        """
        for index in self.indexes:
            gone = [
                shard
                for shard, place in zip(index.shards, index.locations, strict=True)
                if _wrong(place, shard["bytes"])
            ]
            for split in SPLITS:
                lost = sum(shard["samples"].get(split, 0) for shard in gone)
                if lost > allowed(index.counts[split]["samples"], share):
                    verify(index, digests=False)
                    raise ShardError(
                        f"{index.root}: {len(gone)} shards are missing or cut off. Remedy: copy them again."
                    )
            for shard in gone:
                log.warning(
                    "%s: missing or cut off; its samples will be skipped", storage.join(index.root, shard["name"])
                )


def _refuse_shared_patient(indexes: Sequence[ShardIndex]) -> None:
    """Holds splits of sets against one another; inside a set, packing and indexing did."""
    patients = [np.unique(np.concatenate([each.split(split).rows["patient"] for each in indexes])) for split in SPLITS]
    found, times = np.unique(np.concatenate(patients), return_counts=True)
    if (times > 1).any():
        raise ShardError(
            f"--data.shards: {int((times > 1).sum())} patients are in one split of one set and another split of "
            f"another (the first, hashed: {found[times > 1][0].decode()}); scores on such data mean nothing. Remedy: "
            "pack or index the sets with the same shares and --patient_key, or leave one out."
        )


def _warn_of_repeats(indexes: Sequence[ShardIndex]) -> None:
    digests = Counter(shard["sha256"] for index in indexes for shard in index.shards)
    again = sum(times > 1 for times in digests.values())
    if again:
        log.warning("%d shards are listed more than once: their samples are seen as often an epoch", again)


def _wrong(location: str, size: int) -> bool:
    if storage.is_remote(location):
        return False
    try:
        return storage.local_path(location).stat().st_size != size
    except OSError:
        return True
