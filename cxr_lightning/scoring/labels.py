"""How many findings an answer gets right: F1 over located labels.

Enters the true and the stated labels of each study; leaves counts that add up over studies, and scores of their sums.
A finding on the wrong side counts as one missed and one invented. Numbers depend on the labeler that read the text, so
they compare answers within this project, not with published tables.

Shapes: N studies, D draws of the bootstrap, L labels, and 3 for (hit, invented, missed).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.scoring.bootstrap import Score, Sums, interval
from cxr_lightning.scoring.scorer import Scorer, Texts

HIT, INVENTED, MISSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One row of the table of findings.

    Attributes:
        label: The located label.
        f1: F1 with its interval; its `n` is the number of all studies.
        hits: Studies where it was rightly stated.
        invented: Studies where it was stated and is not there.
        missed: Studies where it is there and was not stated.
    """

    label: str
    f1: Score
    hits: int
    invented: int
    missed: int

    @property
    def support(self) -> int:
        """In how many studies the finding is there."""
        return self.hits + self.missed


def count_labels(
    truths: Sequence[AbstractSet[str]], stated: Sequence[AbstractSet[str]], labels: Sequence[str] = LABELS
) -> NDArray[np.int64]:
    """Counts hits, inventions and misses of every label in every study.

    Args:
        truths: What is there, per study.
        stated: What the answer states, per study.
        labels: The labels that count; others in either set are left out.

    Returns:
        Counts (N, L, 3).

    Raises:
        ValueError: If the two differ in length.
    """
    if len(truths) != len(stated):
        raise ValueError(f"{len(truths)} studies need as many answers, found {len(stated)}.")
    true_NL = _mark(truths, labels)
    stated_NL = _mark(stated, labels)
    return np.stack([true_NL & stated_NL, ~true_NL & stated_NL, true_NL & ~stated_NL], axis=-1).astype(np.int64)


def micro_f1(sums: Sums) -> NDArray[np.float64]:
    """Scores all labels together: each finding of each study weighs the same.

    Args:
        sums: Summed counts (D, L, 3).

    Returns:
        F1 (D); 1 where nothing was there and nothing was stated.
    """
    return np.nan_to_num(_f1(sums.sum(axis=1)), nan=1.0)


class MacroF1:
    """Scores each label by itself and takes the mean: rare findings weigh as much as common ones.

    The labels are those that are there in any reference, whoever answers and whichever patients a draw holds: a label
    that a draw has no reference of keeps the F1 that it has over all studies. Else rare labels would come and go with
    the draws, and the score could lie outside its own interval.
    """

    def __init__(self, all_DL: NDArray[np.float64] | None = None) -> None:
        """Keeps what a draw may lack.

        Args:
            all_DL: F1 of each label over all studies, (1, L), NaN for labels that are nowhere; None where sums are
                those of all studies.
        """
        self._all_DL = all_DL

    def __call__(self, sums: Sums) -> NDArray[np.float64]:
        """Scores sums.

        Args:
            sums: Summed counts (D, L, 3).

        Returns:
            Mean F1 (D) over the labels that were there; where none was, 1 if none was stated either, else 0.
        """
        f1_DL = self._f1(sums)
        known_DL = np.isfinite(f1_DL)
        total_D, counted_D = np.where(known_DL, f1_DL, 0.0).sum(axis=1), known_DL.sum(axis=1)
        silent_D = sums[..., INVENTED].sum(axis=1) == 0
        return np.where(counted_D > 0, total_D / np.maximum(counted_D, 1), np.where(silent_D, 1.0, 0.0))

    def over(self, total: Sums) -> MacroF1:
        """Returns the score of draws from studies.

        Args:
            total: Counts of all these studies together, (1, L, 3).
        """
        return MacroF1(MacroF1()._f1(total))

    def _f1(self, sums: Sums) -> NDArray[np.float64]:
        """F1 of each label (D, L) that is there, else what it is over all studies."""
        there_DL = sums[..., HIT] + sums[..., MISSED] > 0
        absent = np.nan if self._all_DL is None else self._all_DL
        return np.where(there_DL, _f1(sums), absent)


macro_f1 = MacroF1()


def score_labels(
    counts: NDArray[np.int64],
    *,
    patients: Sequence[str] | None = None,
    labels: Sequence[str] = LABELS,
    draws: int = 1000,
    seed: int = 0,
) -> list[LabelScore]:
    """Scores each label by itself, for a table.

    Args:
        counts: Counts (N, L, 3) of `count_labels`.
        patients: Patient of each study, for the intervals.
        labels: Names of the L labels.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Returns:
        A row per label that was there or was stated at least once.
    """
    rows = []
    for position, label in enumerate(labels):
        hits, invented, missed = (int(number) for number in counts[:, position].sum(axis=0))
        if hits + invented + missed:
            f1 = interval(counts[:, position], _f1, patients=patients, draws=draws, seed=seed)
            rows.append(LabelScore(label, f1, hits, invented, missed))
    return rows


def _mark(sets: Sequence[AbstractSet[str]], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Writes sets of labels as marks (N, L)."""
    marks = [[label in present for label in labels] for present in sets]
    return np.array(marks, dtype=np.bool_).reshape(len(sets), len(labels))


def _f1(counts: Sums) -> NDArray[np.float64]:
    """Scores counts (..., 3); NaN where there is nothing to score."""
    hits = counts[..., HIT]
    total = 2 * hits + counts[..., INVENTED] + counts[..., MISSED]
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)


def _statistics(texts: Texts) -> NDArray[np.int64]:
    return count_labels(texts.truths, [find(answer) for answer in texts.answers])


SCORERS = (
    Scorer(
        "findings_micro_f1",
        "Findings, micro F1",
        "every finding of every study weighs the same",
        "findings",
        _statistics,
        micro_f1,
    ),
    Scorer(
        "findings_macro_f1",
        "Findings, macro F1",
        "the mean over the findings that are there in any reference: rare ones weigh as much as common ones",
        "findings",
        _statistics,
        macro_f1,
    ),
)
