"""How far raters agree beyond chance: Cohen's kappa, plain and weighted, and Fleiss' kappa for more than two.

Enters what raters said of the same things, as category numbers; leaves additive rows, one a thing, and functions from
their sums to kappa. Because rows add up, an interval of a kappa comes from `bootstrap.interval`, clustered by patient.

Shapes: N things rated, K categories, R raters, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = Literal["none", "linear", "quadratic"]
"""How much a disagreement counts: all the same, by its distance, or by the square of its distance."""

_Floats = NDArray[np.float64]


def pair_rows(first: Sequence[int], second: Sequence[int], categories: int) -> _Floats:
    """Writes two raters' answers as rows that add up to their contingency table.

    Args:
        first: One rater's category of each thing, from 0.
        second: The other's.
        categories: How many categories there are, K.

    Returns:
        Rows (N, K, K): first rater by second rater.

    Raises:
        ValueError: The two differ in length, or a category is none.
    """
    if len(first) != len(second):
        raise ValueError(f"two raters need answers to the same things, found {len(first)} and {len(second)}")
    rows_NKK = np.zeros((len(first), categories, categories))
    for row_KK, one, other in zip(rows_NKK, first, second, strict=True):
        if not (0 <= one < categories and 0 <= other < categories):
            raise ValueError(f"categories go from 0 to {categories - 1}, found {one} and {other}")
        row_KK[one, other] = 1
    return rows_NKK


def cohen(sums_DKK: _Floats, weights: Weights = "none") -> _Floats:
    """Computes Cohen's kappa of two raters, weighted if asked (Cohen 1960, 1968).

    Args:
        sums_DKK: Sums of `pair_rows`: contingency tables.
        weights: How much a disagreement counts.

    Returns:
        Kappas (D), at most 1; NaN where chance allows no disagreement, as when both use one category only.
    """
    size = sums_DKK.shape[-1]
    apart_KK = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    weight_KK = {"none": (apart_KK > 0).astype(np.float64), "linear": apart_KK, "quadratic": apart_KK**2}[weights]
    total_D = sums_DKK.sum(axis=(1, 2))
    expected_DKK = sums_DKK.sum(axis=2)[:, :, None] * sums_DKK.sum(axis=1)[:, None, :]
    observed_D = (weight_KK * sums_DKK).sum(axis=(1, 2)) * total_D
    return _beyond_chance(observed_D, (weight_KK * expected_DKK).sum(axis=(1, 2)))


def many_rows(answers: Sequence[Sequence[int]], categories: int) -> _Floats:
    """Writes what any number of raters said as rows that add up to what Fleiss' kappa needs.

    Args:
        answers: The categories that each thing was given, from 0, by two raters or more; their number may vary.
        categories: How many categories there are, K.

    Returns:
        Rows (N, K + 2): answers by category, share of rater pairs that agree, and 1.

    Raises:
        ValueError: A thing has one rater only, or a category is none.
    """
    rows = np.zeros((len(answers), categories + 2))
    for row, given in zip(rows, answers, strict=True):
        if len(given) < 2 or min(given) < 0 or max(given) >= categories:
            raise ValueError(f"each thing needs two categories or more, from 0 to {categories - 1}; found {given}")
        counts_K = np.bincount(given, minlength=categories)
        row[:categories] = counts_K
        row[categories] = (counts_K * (counts_K - 1)).sum() / (len(given) * (len(given) - 1))
        row[categories + 1] = 1
    return rows


def fleiss(sums_D: _Floats) -> _Floats:
    """Computes Fleiss' kappa (Fleiss 1971); where raters differ in number, chance is taken from all answers together.

    Args:
        sums_D: Sums of `many_rows`, (D, K + 2).

    Returns:
        Kappas (D); NaN where all answers are of one category.
    """
    counts_DK, agreeing_D, things_D = sums_D[:, :-2], sums_D[:, -2], sums_D[:, -1]
    shares_DK = counts_DK / np.maximum(counts_DK.sum(axis=1, keepdims=True), 1e-12)
    chance_D = 1 - (shares_DK**2).sum(axis=1)
    return _beyond_chance(things_D - agreeing_D, chance_D * things_D)


def _beyond_chance(observed_D: _Floats, expected_D: _Floats) -> _Floats:
    """Sets the disagreement that is there against the one that chance makes; rounding is not taken for some."""
    known_D = expected_D > 1e-9
    return np.where(known_D, 1 - observed_D / np.where(known_D, expected_D, 1.0), np.nan)
