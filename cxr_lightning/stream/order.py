"""Which samples make global batch k: a function of (seed, k) and the shards' lengths alone.

Epochs are laid end to end, each its own permutation, and batch k is the k-th stretch of `global_batch` places in that
endless sequence: the position of a run is one counter. A permutation has two levels, so that a shard is read in runs of
neighbours and not sample by sample: runs are permuted over the whole epoch and cut into windows, and inside a window
samples are permuted. A set that fits into one window is permuted uniformly.
"""

# Shapes: S shards, R runs, W windows, N places or samples.

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
RUN = 64
"""Samples of a run: at 60 kB a sample, a read of 4 MB."""
WINDOW = 16_384
"""Samples of a window: a hundred global batches and more, while its runs (1 GB) still fit a node's cache."""


class TooFewSamplesError(ValueError):
    """The split does not fill one global batch."""


class BatchArithmeticError(ValueError):
    """Global batch, micro-batch and ranks do not divide."""


class Endless(Protocol):
    """A sequence of sample numbers without end, whose every stretch can be asked for alone."""

    @property
    def samples(self) -> int:
        """Returns how many samples there are; an epoch has as many places."""

    @property
    def signature(self) -> str:
        """Returns what, beside seed and data, decides which sample is at which place."""

    def take(self, first: int, last: int) -> Numbers:
        """Returns the sample numbers at places `first` to `last` (exclusive)."""


class _Epoch(NamedTuple):
    """The runs of an epoch in their order, and where its windows begin among them."""

    runs_R: Numbers
    window_first_run_W: Numbers  # and the number of runs at its end
    window_place_W: Numbers  # and the number of samples at its end


class Order:
    """Each sample once an epoch.

    Args:
        lengths: Samples of each shard, in the order in which they are numbered.
        seed: Seed of the permutations.
        run: Samples that stay together until their window begins; never across shards.
        window: Samples among which a sample is put anywhere.
        number: Which of a mixture's sets this is, so that equal sets are not in equal order.
    """

    def __init__(
        self, lengths: Sequence[int] | Numbers, seed: int, run: int = RUN, window: int = WINDOW, number: int = 0
    ) -> None:
        if run < 1 or window < 1:
            raise ValueError(f"--data.shuffle_run={run} and --data.shuffle_window={window} must be 1 or more.")
        lengths_S = np.asarray(lengths, dtype=np.int64)
        self._samples = int(lengths_S.sum())
        if self._samples < 1:
            raise TooFewSamplesError("The split holds no samples. Remedy: pack more studies, or choose another split.")
        self.seed, self.run, self.window, self.number = seed, run, window, number
        self.windows = -(-self._samples // window)
        """Windows of an epoch, of equal size give or take a run."""
        self.run_first_R, self.run_length_R = _cut(lengths_S, run)
        self._epoch = lru_cache(maxsize=2)(self._lay_epoch)  # a batch touches at most two where it is smaller than one
        self._window = lru_cache(maxsize=4)(self._shuffle_window)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self._samples

    @property
    def signature(self) -> str:
        """What decides the order beside seed and data: nothing more where all is one window."""
        return "uniform" if self.windows == 1 else f"runs of {self.run} in windows of {self.window}"

    def take(self, first: int, last: int) -> Numbers:
        """Returns the sample numbers at places `first` to `last` (exclusive); costs those places and their windows."""
        parts = [np.empty(0, dtype=np.int64)]
        while first < last:
            epoch, place = divmod(first, self._samples)
            begins_W = self._epoch(epoch).window_place_W
            window = int(np.searchsorted(begins_W, place, side="right")) - 1
            skip = place - int(begins_W[window])
            parts.append(self._window(epoch, window)[skip : skip + last - first])
            first += len(parts[-1])
        return np.concatenate(parts)

    def _lay_epoch(self, epoch: int) -> _Epoch:
        runs_R = np.arange(len(self.run_first_R))
        if self.windows > 1:
            runs_R = self._random(epoch, 0, 1).permutation(len(runs_R))
        places_R = np.concatenate([[0], np.cumsum(self.run_length_R[runs_R])])
        # Windows of equal size: a short last one would leave its few runs unmixed.
        wished_W = np.arange(self.windows + 1) * self._samples // self.windows
        first_run_W = np.searchsorted(places_R, wished_W)
        return _Epoch(runs_R, first_run_W, places_R[first_run_W])

    def _shuffle_window(self, epoch: int, window: int) -> Numbers:
        laid = self._epoch(epoch)
        runs = laid.runs_R[laid.window_first_run_W[window] : laid.window_first_run_W[window + 1]]
        numbers_N = _spread(self.run_first_R[runs], self.run_length_R[runs])
        return numbers_N[self._random(epoch, window, 0).permutation(len(numbers_N))]

    def _random(self, epoch: int, window: int, level: int) -> np.random.Generator:
        # Counters that differ in the upper words never meet: each draw takes far fewer than 2**64 numbers.
        counter = [0, 0, window, 2 * self.number + level]
        return np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=counter))


class Batches:
    """Global batches: stretches of an endless sequence.

    Args:
        order: The sequence.
        size: Samples an optimizer step sees over all ranks.
    """

    def __init__(self, order: Endless, size: int) -> None:
        self.order, self.size = order, size

    def steps(self, epochs: float) -> int:
        """Returns how many whole global batches `epochs` passes over the data make.

        Raises:
            TooFewSamplesError: If they make none.
        """
        steps = int(self.order.samples * epochs // self.size)
        if steps < 1:
            raise TooFewSamplesError(
                f"{self.order.samples} samples x {epochs:g} epochs do not fill one global batch of {self.size}. "
                "Remedy: lower --data.global_batch, raise --data.epochs, or pack more studies."
            )
        return steps

    def batch(self, step: int) -> Numbers:
        """Returns the sample numbers of global batch `step`, of shape (size,)."""
        return self.order.take(step * self.size, (step + 1) * self.size)


def accumulation(global_batch: int, micro_batch: int, ranks: int) -> int:
    """Returns how many micro-batches each rank accumulates a step.

    Raises:
        BatchArithmeticError: If global batch = micro-batch x ranks x accumulation has no whole solution.
    """
    if micro_batch < 1 or global_batch % (micro_batch * ranks):
        raise BatchArithmeticError(
            f"global_batch = micro_batch x ranks x accumulation has no solution: "
            f"{global_batch} / ({micro_batch} x {ranks}) = {global_batch / max(1, micro_batch * ranks):g}. "
            f"Remedy: make --data.global_batch a multiple of {micro_batch * ranks}."
        )
    return global_batch // (micro_batch * ranks)


def _cut(lengths_S: Numbers, run: int) -> tuple[Numbers, Numbers]:
    """Cuts shards on a fixed grid; returns first sample and length of each run."""
    ends_S = np.cumsum(lengths_S)
    offset_R = _spread(np.zeros_like(lengths_S), -(-lengths_S // run)) * run
    shard_R = np.repeat(np.arange(len(lengths_S)), -(-lengths_S // run))
    first_R = (ends_S - lengths_S)[shard_R] + offset_R
    return first_R, np.minimum(run, ends_S[shard_R] - first_R)


def _spread(first: Numbers, length: Numbers) -> Numbers:
    """Returns `first[0], first[0] + 1, ...` for `length[0]` numbers, then the same of the next, end to end."""
    before = np.cumsum(length) - length
    return np.arange(int(length.sum())) + np.repeat(first - before, length)
