"""Looks enter, pairs of samples leave that show nearly the same film: none is missed, and none is compared in vain.

Two looks of one film differ in at most 16 of 255 bits, so of 17 bands of 15 bits at least one is the same in both (a
pigeonhole's argument: recall is 100 %). Only looks that share a band are compared. Bits of a band are taken 15 apart,
since neighbouring waves go together: 236 real films share a band by chance in 1 of 10,000 pairs, so 400,000 looks cost
some 400 million comparisons instead of 240 billion, half a minute on a core. Mirrored and inverted films are found too.
"""

# Shapes: N looks.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.looks import SAME, Looks, turned

_BANDS, _BITS = SAME + 1, 15
MOST_BESIDE = 20_000
"""Different looks with one band that are compared with each; a set of real films has a few hundred."""


@dataclass(frozen=True, slots=True)
class Alike:
    """What was found.

    Attributes:
        one: Places of the first of each pair.
        two: Places of the second.
        left_out: Looks that share a band with more than `MOST_BESIDE` others, and were compared with those alone.
    """

    one: NDArray[np.int64]
    two: NDArray[np.int64]
    left_out: int


def find_alike(looks: Looks) -> Alike:
    """Find films that are nearly the same.

    Args:
        looks: (N, 4); those of nothing are like none.

    Returns:
        Pairs of places. Of samples whose looks are equal to the bit, each is paired with the first alone.
    """
    there = np.flatnonzero(looks.any(axis=1))
    different, first, which = np.unique(looks[there], axis=0, return_index=True, return_inverse=True)
    which = which.ravel()
    again = np.flatnonzero(first[which] != np.arange(len(there)))
    pairs, left_out = [(there[first[which[again]]], there[again])], 0
    places = there[first]
    for turn, other in enumerate(turned(different)):
        for band in range(_BANDS):
            for one, two, beyond in _sharing(_band(different, band), _band(other, band), same=turn == 0):
                left_out += beyond
                near = _apart(different[one], other[two]) <= SAME
                pairs.append((places[one[near]], places[two[near]]))
    every = np.unique(np.sort(np.stack([np.concatenate(each) for each in zip(*pairs, strict=True)], axis=1)), axis=0)
    every = every[every[:, 0] != every[:, 1]]
    return Alike(every[:, 0], every[:, 1], left_out)


def _band(looks: Looks, number: int) -> NDArray[np.uint16]:
    """Takes every 17th bit of the 255."""
    value = np.zeros(len(looks), dtype=np.uint16)
    for place in range(_BITS):
        bit = number + place * _BANDS
        value |= (((looks[:, bit // 64] >> np.uint64(63 - bit % 64)) & np.uint64(1)) << np.uint64(place)).astype(
            np.uint16
        )
    return value


def _sharing(
    one: NDArray[np.uint16], two: NDArray[np.uint16], *, same: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Give places of equal values, many at once: the n-th of the second's that equals, for all of the first."""
    order = np.argsort(two, kind="stable")
    low = np.searchsorted(two[order], one, "left")
    high = np.searchsorted(two[order], one, "right")
    places = np.arange(len(one))
    for step in range(MOST_BESIDE + 1):
        left = low + step < high
        places, low, high = places[left], low[left], high[left]
        if not len(places):
            return
        if step == MOST_BESIDE:
            yield places[:0], places[:0], len(places)
            return
        others = order[low + step]
        chosen = others > places if same else np.ones(len(places), dtype=np.bool_)
        yield places[chosen], others[chosen], 0


def _apart(one: Looks, two: Looks) -> NDArray[np.int64]:
    """Counts the bits in which looks differ."""
    return np.asarray(np.bitwise_count(one ^ two).sum(axis=1, dtype=np.int64))
