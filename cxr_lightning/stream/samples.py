"""Samples of one split under one numbering, from however many shard sets: a number enters, its place leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cxr_lightning.shards.splitindex import SplitIndex
from cxr_lightning.stream.order import Numbers
from cxr_lightning.study import Split


@dataclass(frozen=True)
class Samples:
    """One split, set after set.

    Attributes:
        splits: That split of each set.
        digests: Of each set's shards, SHA-256; an empty text where it is not known.
    """

    splits: tuple[SplitIndex, ...]
    digests: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, split: SplitIndex) -> Samples:
        """Returns the samples of one set whose digests do not matter, for nothing of it will be cached."""
        return cls((split,), (("",) * len(split.locations),))

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def name(self) -> Split:
        """The split."""
        return self.splits[0].name

    @property
    def lengths(self) -> Numbers:
        """Samples of each shard, in the order of their numbers."""
        return np.concatenate([split.shard_lengths for split in self.splits])

    def locate(self, number: int) -> tuple[int, int]:
        """Returns which set holds a sample, and its row there."""
        which = int(np.searchsorted(self._ends, number, side="right"))
        assert 0 <= number < len(self), number
        return which, number - (int(self._ends[which - 1]) if which else 0)

    def first(self, count: int) -> Numbers:
        """Returns the numbers of some samples, the first of each set, from each by its share of the split.

        Args:
            count: How many; all where there are fewer.
        """
        count = min(count, len(self))
        if not count:
            return np.empty(0, dtype=np.int64)
        shares = np.diff(self._ends * count // len(self), prepend=0)
        begins = self._ends - [len(split) for split in self.splits]
        return np.concatenate([begin + np.arange(share) for begin, share in zip(begins, shares, strict=True)])

    def shards(self, count: int | None = None) -> set[str]:
        """Returns the digests of the shards that hold samples of the split.

        Args:
            count: Only those that hold so many samples, as `first` chooses them.
        """
        if count is None:
            held = [np.flatnonzero(split.shard_lengths) for split in self.splits]
        else:
            held = [np.empty(0, dtype=np.int64) for _ in self.splits]
            for which, _, rows_N in self.by_set(self.first(count)):
                held[which] = np.unique(self.splits[which].shard[rows_N])
        return {self.digests[which][shard] for which, shards in enumerate(held) for shard in shards.tolist()}

    def by_set(self, numbers_N: Numbers) -> Iterator[tuple[int, Numbers, Numbers]]:
        """Yields each set that holds some of the samples: which, their places among the numbers, their rows there."""
        which_N = np.searchsorted(self._ends, numbers_N, side="right")
        for which in np.unique(which_N).tolist():
            here_N = np.flatnonzero(which_N == which)
            yield which, here_N, numbers_N[here_N] - (int(self._ends[which - 1]) if which else 0)

    def label(self, number: int) -> str:
        """Returns what a sample is called in logs: its key, hashed where others chose it, for it may name a patient."""
        which, row = self.locate(number)
        return self.splits[which].label(row)

    def location(self, number: int) -> str:
        """Returns path or URL of the shard that holds a sample."""
        which, row = self.locate(number)
        return self.splits[which].location(row)

    def run_rows(self, number: int, run: int) -> tuple[int, int]:
        """Returns first and last (exclusive) row, in its set, of the run in which a sample lies."""
        which, row = self.locate(number)
        shard = int(self.splits[which].shard[row])
        begin = int(self._shard_first[which][shard])
        first = begin + (row - begin) // run * run
        return first, min(first + run, begin + int(self.splits[which].shard_lengths[shard]))

    @cached_property
    def _ends(self) -> Numbers:
        return np.cumsum([len(split) for split in self.splits])

    @cached_property
    def _shard_first(self) -> Sequence[Numbers]:
        return [np.cumsum(split.shard_lengths) - split.shard_lengths for split in self.splits]
