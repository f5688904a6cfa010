"""Several sets in one endless sequence, by weight: which set each place takes is a periodic pattern.

Weights become whole numbers of places in a period, so that every period, and so the whole run, holds the shares
exactly; inside a period the places are permuted. Each set goes on endlessly in its own order, epoch after epoch. Any
stretch is known from its first and last place alone.
"""

# Shapes: P places of a period, K sets, N places.

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np

from cxr_lightning.stream.order import Endless, Numbers

_SHORTEST, _LONGEST = 1_000, 10_000
_PATTERN = 2**63
"""Upper counter word of the pattern's draws; those of the sets' own orders count up from 0."""


class WeightError(ValueError):
    """Weights of a mixture that say no share for each of its sets."""


class Mixture:
    """Sets of samples, each with a share of all places.

    Args:
        orders: The sets' own orders. Samples are numbered set after set.
        weights: Their shares, in any unit.
        seed: Seed of the pattern.

    Raises:
        WeightError: If a weight is not positive, or so small that a set would never be seen.
    """

    def __init__(self, orders: Sequence[Endless], weights: Sequence[float], seed: int) -> None:
        assert len(orders) == len(weights)
        self.orders, self.seed = tuple(orders), seed
        self.quotas_K = quotas(weights)
        """Places of each set in a period."""
        self.period = int(self.quotas_K.sum())
        sizes_K = np.array([order.samples for order in orders])
        self.first_number_K = np.cumsum(sizes_K) - sizes_K
        self._pattern = lru_cache(maxsize=4)(self._draw_pattern)

    @property
    def samples(self) -> int:
        """Number of samples of all sets; an epoch has as many places, whichever they take."""
        return sum(order.samples for order in self.orders)

    @property
    def signature(self) -> str:
        """What decides the order beside seed and data: shares, and the order of each set."""
        shares = ":".join(str(quota) for quota in self.quotas_K)
        return f"mixture {shares} of {', '.join(order.signature for order in self.orders)}"

    def take(self, first: int, last: int) -> Numbers:
        """Returns the sample numbers at places `first` to `last` (exclusive); costs those places and two periods."""
        sets_N = self._sets(first, last)
        numbers_N = np.empty(len(sets_N), dtype=np.int64)
        for number, order in enumerate(self.orders):
            here_N = sets_N == number
            count = int(here_N.sum())
            if count:
                begin = self._taken(number, first)
                numbers_N[here_N] = order.take(begin, begin + count) + self.first_number_K[number]
        return numbers_N

    def passes(self, places: int) -> list[float]:
        """Returns how often each set is seen in whole when `places` places are taken."""
        return [self._taken(number, places) / order.samples for number, order in enumerate(self.orders)]

    def _sets(self, first: int, last: int) -> Numbers:
        """Returns which set each place takes."""
        periods = range(first // self.period, -(-last // self.period))
        laid = np.concatenate([np.empty(0, dtype=np.int64), *(self._pattern(period) for period in periods)])
        skip = first - periods.start * self.period
        return laid[skip : skip + last - first]

    def _taken(self, number: int, place: int) -> int:
        """Returns how many of the places before `place` take a set."""
        period, rest = divmod(place, self.period)
        return period * int(self.quotas_K[number]) + int((self._pattern(period)[:rest] == number).sum())

    def _draw_pattern(self, period: int) -> Numbers:
        generator = np.random.Generator(np.random.Philox(key=[self.seed, period], counter=[0, 0, 0, _PATTERN]))
        return generator.permutation(np.repeat(np.arange(len(self.orders)), self.quotas_K))


def quotas(weights: Sequence[float]) -> Numbers:
    """Returns how many places of a period each set gets.

    The shortest period of a thousand places or more in which the weights are exact; where it would be longer than ten
    thousand, they are rounded to that by largest remainder.

    Args:
        weights: Shares in any unit.

    Raises:
        WeightError: If a weight is not positive, or its share is less than one place in ten thousand.
    """
    if not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise WeightError(
            f"The weights {list(weights)} of --data.shards must all be above 0. Remedy: leave the set out instead."
        )
    parts = [Fraction(str(weight)) for weight in weights]
    shares = [part / sum(parts) for part in parts]
    exact = lcm(*(share.denominator for share in shares))
    period = exact * -(-_SHORTEST // exact) if exact <= _LONGEST else _LONGEST
    counts_K = np.array([int(share * period) for share in shares], dtype=np.int64)
    remainders = [float(share * period % 1) for share in shares]
    most = np.argsort(remainders, kind="stable")[::-1]
    counts_K[most[: period - int(counts_K.sum())]] += 1
    if not counts_K.all():
        raise WeightError(
            f"Of the weights {list(weights)} of --data.shards one is less than 1 place in {period}: its set would "
            "never be seen. Remedy: raise it, or leave the set out."
        )
    return counts_K
