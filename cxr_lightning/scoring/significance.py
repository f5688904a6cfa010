"""Whether chance alone would make a difference as large: paired permutation tests, corrected for asking often.

Enters additive statistics of two models on the same studies; leaves p values. Were the models alike, it would not
matter which of them gave which answer, so the answers of a patient are exchanged, all at once, and the difference is
taken again. Sums add up, so an exchange is a row of signs and ten thousand of them are one matrix product.

Shapes: D draws, U units (patients), N studies, M p values, and ... for what the statistics hold.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ScoreOf, sum_by_patient

# Bounds the memory of one block of draws to 32 MiB whatever the size of the data.
_BLOCK = 4 * 2**20
# An exchange that gives the same difference by another order of adding must count as the same.
_ROUNDING = 1e-10


@dataclass(frozen=True, slots=True)
class Chance:
    """How often chance alone makes a difference as large as the one found.

    Attributes:
        p: Two-sided p value.
        exchanges: How many ways of exchanging were tried.
        exact: Whether these were all there are.
    """

    p: float
    exchanges: int
    exact: bool


def permutation_test(
    first: NDArray[Any],
    second: NDArray[Any],
    score_of: ScoreOf,
    *,
    patients: Sequence[Hashable] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Chance:
    """Tests whether two models score differently on the same studies.

    Paired, two-sided, by patient (Fisher 1935; for sums of texts, Yeh 2000). All exchanges are tried where there are no
    more than `draws`; else that many are drawn and p = (b + 1) / (m + 1), which is never 0 (Phipson and Smyth 2010).

    Args:
        first: Additive statistics (N, ...).
        second: Those of the other model, on the same studies in the same order.
        score_of: From sums over studies (D, ...) to scores (D).
        patients: Patient of each study; the answers of a patient are exchanged together.
        draws: How many exchanges are drawn where there are too many to try all.
        seed: Seed of the draws.

    Returns:
        The p value; 1 where nothing differs, or where a score is not a number.

    Raises:
        ValueError: If the two do not have the same shape, or there is no study.
    """
    if np.shape(first) != np.shape(second):
        raise ValueError(
            f"Paired scores need the same studies on both sides, found {np.shape(first)} and {np.shape(second)}."
        )
    both = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)
    units = sum_by_patient(both, patients)
    total, deltas = units.sum(axis=(0, 1)), (units[:, 0] - units[:, 1]).reshape(len(units), -1)
    # Where both say the same, exchanging changes nothing: without these patients few are left, and all ways are tried.
    deltas = deltas[(deltas != 0).any(axis=1)]

    def differences(signs: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = (signs @ deltas).reshape(len(signs), *total.shape)
        return score_of((total + apart) / 2) - score_of((total - apart) / 2)

    found = float(differences(np.ones((1, len(deltas))))[0])
    if not np.isfinite(found):
        return Chance(1.0, 0, False)
    exact = len(deltas) <= 1 or 2 ** (len(deltas) - 1) <= draws
    blocks = _every_way(len(deltas)) if exact else _drawn_ways(len(deltas), draws, seed)
    edge = abs(found) - _ROUNDING * max(1.0, abs(found))
    reached = tried = 0
    for signs in blocks:
        # What is not a number counts as reached, so it makes no difference look surer than it is.
        reached += int((~(np.abs(differences(signs)) < edge)).sum())
        tried += len(signs)
    return Chance(reached / tried if exact else (reached + 1) / (tried + 1), tried, exact)


def holm(p: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Corrects p values so that one false finding among all of them stays as rare as it says (Holm 1979).

    For few questions that each matter. It holds however the scores depend on one another.

    Args:
        p: The p values (M).

    Returns:
        Corrected ones (M), in the same order.
    """
    ordered, order = _ordered(p)
    count = len(ordered)
    return _back(np.maximum.accumulate(ordered * np.arange(count, 0, -1)), order)


def benjamini_hochberg(p: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Corrects p values so that of what is called different a known share at most is not (Benjamini, Hochberg 1995).

    For many questions asked at once, of which some will be chance.

    Args:
        p: The p values (M).

    Returns:
        Corrected ones (M), in the same order.
    """
    ordered, order = _ordered(p)
    count = len(ordered)
    raised = ordered * count / np.arange(1, count + 1)
    return _back(np.minimum.accumulate(raised[::-1])[::-1], order)


def _ordered(p: Sequence[float] | NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], order


def _back(corrected: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Puts values back where their p values stood; none is more than 1."""
    result = np.empty_like(corrected)
    result[order] = np.minimum(corrected, 1.0)
    return result


def _every_way(units: int) -> Iterator[NDArray[np.float64]]:
    """Yields all exchanges (D, U). To exchange all turns the difference over, so the first unit may stay as it is."""
    free = max(units - 1, 0)
    bits = (np.arange(2**free)[:, None] >> np.arange(free)) & 1
    yield np.concatenate([np.ones((len(bits), units - free)), 1.0 - 2.0 * bits], axis=1)


def _drawn_ways(units: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draws exchanges, yielding blocks of signs (D, U)."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // units)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        # A bit a patient: drawing numbers would take longer than all that is done with them.
        drawn = generator.integers(0, 256, (size, -(-units // 8)), dtype=np.uint8)
        yield 1.0 - 2.0 * np.unpackbits(drawn, axis=1, count=units).astype(np.float64)
