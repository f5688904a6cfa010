"""ROUGE-1, ROUGE-2 and ROUGE-L: how many words, pairs of words, and words in order an answer shares with the reference.

Enters two texts; leaves one F-measure a study, whose mean over studies is the score (Lin 2004). Equal to Google's
rouge-score without its stemmer. Shared words are weak evidence: "no effusion" and "effusion" overlap well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.scorer import Scorer, Texts
from cxr_lightning.scoring.words import grams_of, words_of

KINDS = ("1", "2", "l")
"""Single words, pairs of words, longest common subsequence."""

# Three scores are columns of one row, so each pair is read once; strings of the pairs live as long as the evaluation.
_REMEMBERED = 2**14


@lru_cache(maxsize=_REMEMBERED)
def rouge(reference: str, answer: str) -> tuple[float, ...]:
    """Scores one answer by all three kinds: F-measures with beta = 1.

    Args:
        reference: What was to be said.
        answer: What was said.

    Returns:
        ROUGE-1, ROUGE-2, ROUGE-L, each from 0 to 1; 0 where either side has nothing to compare.
    """
    wanted, given = words_of(reference), words_of(answer)
    scores = []
    for order in (1, 2):
        shared = (grams_of(wanted, order) & grams_of(given, order)).total()
        scores.append(_f_measure(shared, len(wanted) - order + 1, len(given) - order + 1))
    return (*scores, _f_measure(longest_common(wanted, given), len(wanted), len(given)))


def rouge_statistics(references: Sequence[str], answers: Sequence[str], kind: str = "l") -> NDArray[np.float64]:
    """Collects one kind of each study for `bootstrap.ratio_of_sums`.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.
        kind: One of `KINDS`.

    Returns:
        Statistics (N, 2): score and weight 1.
    """
    column = KINDS.index(kind)
    rows = [(rouge(*pair)[column], 1.0) for pair in zip(references, answers, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Counts the longest common subsequence, a column of the table at a time as bits of one integer (Hyyrö 2004).

    A column differs from the one before by 0 or 1 in each row, so bits hold it, and an addition carries a match up to
    the next free row. For reports it is some twenty times as fast as the table.

    Args:
        first: Words of one text.
        second: Words of the other.
    """
    where: dict[str, int] = {}
    for position, word in enumerate(first):
        where[word] = where.get(word, 0) | 1 << position
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        hits = row & where.get(word, 0)
        row = (row + hits | row - hits) & full
    return len(first) - row.bit_count()


def _f_measure(shared: int, wanted: int, given: int) -> float:
    return 2 * shared / (wanted + given) if shared else 0.0


def _collect(kind: str) -> Callable[[Texts], NDArray[np.float64]]:
    return lambda texts: rouge_statistics(texts.references, texts.answers, kind)


SCORERS = tuple(
    Scorer(f"rouge_{kind}", f"ROUGE-{kind.upper()}", meaning, "overlap", _collect(kind), ratio_of_sums)
    for kind, meaning in zip(
        KINDS, ("shared words", "shared pairs of words", "longest common run of words"), strict=True
    )
)
