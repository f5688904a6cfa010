"""chrF: which runs of one to six characters an answer and the reference share, over the whole corpus.

Enters two texts; leaves counts that add up (Popović 2015). It forgives endings and typing errors that a score of words
counts as misses. Equal to sacrebleu's chrF2, LOWER-CASED, divided by 100: its signature is
nrefs:1|case:lc|eff:yes|nc:6|nw:0|space:no.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import Sums
from cxr_lightning.scoring.scorer import Scorer

ORDERS = 6
BETA = 2.0
"""Recall weighs twice as much as precision."""


def chrf_statistics(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Collects what chrF sums over a corpus. White space does not count.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Statistics (N, 6, 3): per order the runs said, wanted and shared.
    """
    rows = [_row(*pair) for pair in zip(references, answers, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, ORDERS, 3)


def chrf(sums: Sums) -> NDArray[np.float64]:
    """Scores summed statistics.

    Args:
        sums: Sums (D, 6, 3) of `chrf_statistics`.

    Returns:
        chrF (D), from 0 to 1: F of the mean precision and the mean recall over the orders that both sides have.
    """
    said, wanted, shared = sums[..., 0], sums[..., 1], sums[..., 2]
    both = (said > 0) & (wanted > 0)
    orders = np.maximum(both.sum(axis=1), 1)
    precision = np.where(both, shared / np.maximum(said, 1.0), 0.0).sum(axis=1) / orders
    recall = np.where(both, shared / np.maximum(wanted, 1.0), 0.0).sum(axis=1) / orders
    weighed = BETA**2 * precision + recall
    return np.where(weighed > 0, (1 + BETA**2) * precision * recall / np.where(weighed > 0, weighed, 1.0), 0.0)


def _row(reference: str, answer: str) -> list[tuple[int, int, int]]:
    wanted, given = ("".join(text.lower().split()) for text in (reference, answer))
    return [_shared(wanted, given, order) for order in range(1, ORDERS + 1)]


def _shared(wanted: str, given: str, order: int) -> tuple[int, int, int]:
    """Counts runs of one order; what is said counts only against a reference that has this order at all."""
    in_wanted, in_given = (
        Counter([text[start : start + order] for start in range(len(text) - order + 1)]) for text in (wanted, given)
    )
    shared = sum(min(count, in_wanted[run]) for run, count in in_given.items() if run in in_wanted)
    said = max(0, len(given) - order + 1) if in_wanted else 0
    return said, max(0, len(wanted) - order + 1), shared


SCORERS = (
    Scorer(
        "chrf",
        "chrF",
        "shared runs of one to six characters",
        "overlap",
        lambda texts: chrf_statistics(texts.references, texts.answers),
        chrf,
    ),
)
