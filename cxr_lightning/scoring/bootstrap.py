"""How far a score may be off by chance: percentile bootstrap intervals over patients.

Enters one row of additive statistics per study (true positives, matched words) and a function from their sums to a
score; leaves the score with its interval. Patients are drawn, not studies: two films of one patient say less than two
films of two. Since statistics add up, a draw is one row of a matrix product, and a thousand draws take milliseconds.
Where all draws say the same, an exact bound is told or none.

Shapes: D draws, U units (patients), N studies, and ... for whatever the statistics hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]
ScoreOf = Callable[[Sums], NDArray[np.float64]]
"""From summed statistics (D, ...) to scores (D)."""

# Bounds the memory of one block of draws to 64 MiB whatever the size of the data.
_BLOCK = 8 * 2**20
# Draws no farther apart than this differ by the order of adding only.
_ROUNDING = 1e-10

FEWEST_PATIENTS = 20
"""With fewer a percentile bootstrap claims more than it knows (what happens in 1 of 20 by chance, in 1 of 4), so that
nothing is called sure."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number that says how sure it is.

    Attributes:
        value: The score over all studies.
        low: Lower end of the interval; NaN where it is not known.
        high: Upper end of the interval; NaN where it is not known.
        n: Number of studies.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval: for differences, whether chance alone would hardly make this one."""
        return self.low > 0.0 or self.high < 0.0

    @property
    def ends(self) -> list[float | None]:
        """The interval as JSON has it, None for an end that is not known."""
        return [_finite(self.low), _finite(self.high)]

    def to_json(self) -> dict[str, float | int | None]:
        """Returns the score as JSON has it, None for what is not known."""
        return {"value": _finite(self.value), "low": _finite(self.low), "high": _finite(self.high), "n": self.n}

    def exact(self, patients: int) -> Score:
        """Gives a share of 0 or 1 the interval that draws cannot: all of them say the same.

        Clopper and Pearson, Biometrika 1934, as if each patient were asked once: never in 13 patients may be 1 in 4.

        Args:
            patients: How many patients showed it.
        """
        if self.value not in (0.0, 1.0) or self.low < self.high:
            return self
        room = float(1.0 - 0.025 ** (1 / patients))
        low, high = (0.0, room) if self.value == 0.0 else (1.0 - room, 1.0)
        return Score(self.value, low, high, self.n)

    def __str__(self) -> str:
        span = f"{self.low:.3f} to {self.high:.3f}, " if self.low <= self.high else ""
        return f"{self.value:.3f} ({span}n = {self.n})"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def interval(
    statistics: NDArray[Any],
    score_of: ScoreOf,
    *,
    patients: Sequence[Hashable] | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Scores studies and says how much another sample of patients might have changed the score.

    Percentile bootstrap (Efron 1979), clustered by patient.

    Args:
        statistics: Additive statistics (N, ...), one row a study.
        score_of: From sums over studies (D, ...) to scores (D).
        patients: Patient of each study; without them every study is its own patient.
        draws: Number of resamples.
        level: Share of the resamples that the interval holds.
        seed: Seed of the draws. The same seed draws the same patients, so scores of one set of studies are comparable.

    Returns:
        The score with its interval, which holds the score; NaN ends where no draw has a score, or where all draws have
        the same, which says nothing of other patients.

    Raises:
        ValueError: If there is no study, or if patients and studies differ in number.
    """
    units = sum_by_patient(np.asarray(statistics, dtype=np.float64), patients)
    total = units.sum(axis=0, keepdims=True)
    score_of = fixed(score_of, total)
    value = float(score_of(total)[0])
    drawn = np.concatenate([score_of(sums) for sums in _draw(units, draws, seed)])
    return _summary(value, drawn, level, len(statistics))


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    score_of: ScoreOf,
    *,
    patients: Sequence[Hashable] | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Says how much better the first answers are than the second ones, on the same studies.

    Both are scored on the same draws, so what makes a study hard or easy cancels; the interval of the difference is
    narrower, and more honest, than two intervals side by side.

    Args:
        first: Additive statistics (N, ...).
        second: Those of the other answers to the same studies, in the same order.
        score_of: From sums over studies (D, ...) to scores (D).
        patients: Patient of each study.
        draws: Number of resamples.
        level: Share of the resamples that the interval holds.
        seed: Seed of the draws.

    Returns:
        First score minus second score.

    Raises:
        ValueError: If the two do not have the same shape.
    """
    if np.shape(first) != np.shape(second):
        raise ValueError(
            f"Paired scores need the same studies on both sides, found {np.shape(first)} and {np.shape(second)}."
        )
    both = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)
    one, other = (fixed(score_of, both[:, side].sum(axis=0, keepdims=True)) for side in (0, 1))
    return interval(
        both,
        lambda sums: one(sums[:, 0]) - other(sums[:, 1]),
        patients=patients,
        draws=draws,
        level=level,
        seed=seed,
    )


def ratio_of_sums(sums: Sums) -> NDArray[np.float64]:
    """Scores statistics (value, weight) as a weighted mean; with weight 1 a study, the plain mean.

    Args:
        sums: Sums (D, 2).

    Returns:
        Means (D); NaN where nothing was weighed.
    """
    known = sums[:, 1] > 0
    return np.where(known, sums[:, 0] / np.where(known, sums[:, 1], 1.0), np.nan)


def sum_by_patient(statistics: Sums, patients: Sequence[Hashable] | None) -> Sums:
    """Adds up the studies of each patient, which are drawn or exchanged together.

    Args:
        statistics: Additive statistics (N, ...).
        patients: Patient of each study; without them every study is its own patient.

    Returns:
        Sums (U, ...), patients in the order in which they come.

    Raises:
        ValueError: If there is no study, or if patients and studies differ in number.
    """
    if len(statistics) == 0:
        raise ValueError("There are no studies to score. Choose another split or check that the shards hold this one.")
    if patients is None:
        return statistics
    if len(patients) != len(statistics):
        raise ValueError(f"{len(statistics)} studies need as many patients, found {len(patients)}.")
    number = {patient: position for position, patient in enumerate(dict.fromkeys(patients))}
    units = np.zeros((len(number), *statistics.shape[1:]))
    np.add.at(units, [number[patient] for patient in patients], statistics)
    return units


def fixed(score_of: ScoreOf, total: Sums) -> ScoreOf:
    """Tells a score that asks for it, by having a method `over`, the sums of all studies: a draw may lack labels.

    Args:
        score_of: The score.
        total: Sums (1, ...) of all studies.

    Returns:
        The score of draws from these studies.
    """
    over: Callable[[Sums], ScoreOf] | None = getattr(score_of, "over", None)
    return over(total) if over else score_of


def _draw(units: Sums, draws: int, seed: int) -> Iterator[Sums]:
    """Draws patients with replacement, yielding blocks of sums (D, ...)."""
    count = len(units)
    flat = units.reshape(count, -1)
    block = max(1, _BLOCK // count)
    generator = np.random.default_rng(seed)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        weights = _one_block(count, draws, seed) if draws <= block else _weights(generator, count, size)
        yield (weights @ flat).reshape(size, *units.shape[1:])


@lru_cache(maxsize=4)
def _one_block(count: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Remembers a draw: the scores of one set of studies are all scored on it, and drawing takes longest of all."""
    weights = _weights(np.random.default_rng(seed), count, draws)
    weights.flags.writeable = False
    return weights


def _weights(generator: np.random.Generator, count: int, size: int) -> NDArray[np.float64]:
    """Draws how often each patient is drawn (D, U)."""
    return generator.multinomial(count, np.full(count, 1.0 / count), size=size).astype(np.float64)


def _summary(value: float, drawn: NDArray[np.float64], level: float, count: int) -> Score:
    """Takes the percentiles of the draws that have a score, wide enough to hold the score itself."""
    drawn = drawn[np.isfinite(drawn)]
    unknown = Score(value, math.nan, math.nan, count)
    if len(drawn) == 0 or not math.isfinite(value) or drawn.max() - drawn.min() <= _ROUNDING * max(1.0, abs(value)):
        return unknown
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Score(value, min(float(low), value), max(float(high), value), count)
