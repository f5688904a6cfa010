"""Shares and means over duels, with intervals over patients.

Percentile bootstrap, and where all draws say the same, as they do of a share of 0 or 1, the exact bound over patients:
the bootstrap cannot see what no patient has shown. What all patients have alike, other than 0 or 1, has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import Score, ScoreOf, interval, ratio_of_sums


@dataclass(frozen=True)
class Draws:
    """How intervals are drawn.

    Attributes:
        count: Number of draws.
        seed: Their seed.
    """

    count: int = 1000
    seed: int = 0


def share(cases: Iterable[tuple[Hashable, bool]], draws: Draws) -> Score | None:
    """Returns how often something is so.

    Args:
        cases: Patient, and whether it is so.
        draws: How the interval is drawn.

    Returns:
        None where there is no case.
    """
    listed = list(cases)
    score = mean(((patient, float(so)) for patient, so in listed), draws)
    return None if score is None else score.exact(len({patient for patient, _ in listed}))


def mean(cases: Iterable[tuple[Hashable, float]], draws: Draws) -> Score | None:
    """Returns the mean of what each case has.

    Args:
        cases: Patient and value.
        draws: How the interval is drawn.

    Returns:
        None where there is no case.
    """
    return combined(((patient, (value, 1.0)) for patient, value in cases), ratio_of_sums, draws)


def difference_of_shares(cases: Iterable[tuple[Hashable, bool, bool]], draws: Draws) -> Score | None:
    """Returns how much more often something is so in one group than in the other.

    Args:
        cases: Patient, whether it is of the first group, and whether it is so.
        draws: How the interval is drawn.

    Returns:
        None where a group is empty.
    """
    rows: list[tuple[Hashable, tuple[float, ...]]] = [
        (patient, (so * first, first, so * (not first), not first)) for patient, first, so in cases
    ]
    if not rows or {bool(row[1]) for _, row in rows} != {True, False}:
        return None
    score = combined(rows, _difference, draws)
    if score is None or score.low < score.high:
        return score
    return _exact_difference(score, *(_group(rows, number) for number in (0, 1)))


def _group(rows: Sequence[tuple[Hashable, tuple[float, ...]]], number: int) -> Score:
    """The share of one group, with the exact bound over its patients where it is 0 or 1."""
    patients = [patient for patient, row in rows if row[2 * number + 1]]
    value = sum(row[2 * number] for _, row in rows) / len(patients)
    return Score(value, math.nan, math.nan, len(patients)).exact(len(set(patients)))


def _exact_difference(score: Score, one: Score, other: Score) -> Score:
    """Joins the exact bounds of two shares to one of their difference (Newcombe, Stat Med 1998, method 10)."""
    low = score.value - math.hypot(one.value - one.low, other.high - other.value)
    high = score.value + math.hypot(one.high - one.value, other.value - other.low)
    return Score(score.value, low, high, score.n)


def combined(cases: Iterable[tuple[Hashable, tuple[float, ...]]], score_of: ScoreOf, draws: Draws) -> Score | None:
    """Returns a score of sums, with its interval.

    Args:
        cases: Patient and statistics that add up.
        score_of: From their sums to the score.
        draws: How the interval is drawn.

    Returns:
        None where there is no case.
    """
    listed = list(cases)
    if not listed:
        return None
    rows = np.array([row for _, row in listed], dtype=np.float64)
    patients = [patient for patient, _ in listed]
    return interval(rows, score_of, patients=patients, draws=draws.count, seed=draws.seed)


def plain(score: Score | None) -> dict[str, Any] | None:
    """Returns a score ready for JSON: value, low, high and n; None stays None, and so does an end that is none.

    Args:
        score: The score.
    """
    return None if score is None else score.to_json()


def _difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From (so and first, first, so and second, second) (D, 4) to the difference (D); none where a group is empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
