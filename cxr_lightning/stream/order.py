"""Which samples make global batch k: a function of (seed, k) and the sizes alone.

Epochs are laid end to end: epoch e is its own permutation of all samples, and batch k is the k-th run of
`global_batch` places in that endless sequence. Neither ranks nor workers nor restarts enter, so the position of a run
is one counter, and every sample is seen exactly once an epoch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class TooFewSamplesError(ValueError):
    """The split does not fill one global batch."""


class BatchArithmeticError(ValueError):
    """Global batch, micro-batch and ranks do not divide."""


class Order:
    """The order of one training run.

    Args:
        samples: Number of samples in the split.
        global_batch: Samples an optimizer step sees over all ranks.
        seed: Seed of the permutations.
    """

    def __init__(self, samples: int, global_batch: int, seed: int) -> None:
        if samples < 1:
            raise TooFewSamplesError("The split holds no samples. Remedy: pack more studies, or choose another split.")
        self.samples, self.global_batch, self.seed = samples, global_batch, seed

    def steps(self, epochs: float) -> int:
        """Returns how many whole global batches `epochs` passes over the data make.

        Raises:
            TooFewSamplesError: If they make none.
        """
        steps = int(self.samples * epochs // self.global_batch)
        if steps < 1:
            raise TooFewSamplesError(
                f"{self.samples} samples x {epochs:g} epochs do not fill one global batch of {self.global_batch}. "
                "Remedy: lower --data.global_batch, raise --data.epochs, or pack more studies."
            )
        return steps

    def batch(self, step: int) -> NDArray[np.int64]:
        """Returns the sample numbers of global batch `step`, of shape (global_batch,)."""
        places = np.arange(step * self.global_batch, (step + 1) * self.global_batch)
        numbers = np.empty(len(places), dtype=np.int64)
        for epoch in np.unique(places // self.samples):
            here = places // self.samples == epoch
            numbers[here] = _permutation(self.samples, self.seed, int(epoch))[places[here] % self.samples]
        return numbers


@lru_cache(maxsize=2)  # a batch touches at most two epochs where it is smaller than one
def _permutation(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(samples)


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


def share(batch: NDArray[np.int64], micro_batch: int, rank: int, ranks: int) -> list[NDArray[np.int64]]:
    """Returns one rank's micro-batches of a global batch, in the order of accumulation."""
    return [piece[rank] for piece in batch.reshape(-1, ranks, micro_batch)]
