"""How many words an answer shares with the reference: ROUGE-L and BLEU.

Enters two texts; leaves additive statistics, so that overlap gets bootstrap intervals as findings do. Shared words are
weak evidence: "no effusion" and "effusion" overlap well. They are here for comparison with papers that report them.
Words are lower-cased runs of letters and digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import Sums, ratio_of_sums
from cxr_lightning.scoring.scorer import Scorer

_WORD = re.compile(r"[a-z0-9]+")
ORDERS = 4


def words_of(text: str) -> list[str]:
    """Splits a text into the words that overlap is counted in.

    Args:
        text: Any text.
    """
    return _WORD.findall(text.lower())


def rouge_l(reference: str, answer: str) -> float:
    """Scores the longest common subsequence of words: ROUGE-L, F-measure with beta = 1 (Lin 2004).

    Args:
        reference: What was to be said.
        answer: What was said.

    Returns:
        From 0 to 1; 0 when either is empty.
    """
    wanted, given = words_of(reference), words_of(answer)
    common = _longest_common(wanted, given)
    return 2 * common / (len(wanted) + len(given)) if common else 0.0


def rouge_statistics(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Collects ROUGE-L of each study for `bootstrap.ratio_of_sums`.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Statistics (N, 2): score and weight 1.
    """
    return np.array([(rouge_l(*pair), 1.0) for pair in zip(references, answers, strict=True)]).reshape(-1, 2)


def bleu_statistics(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Collects what BLEU-4 sums over a corpus (Papineni et al. 2002).

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Statistics (N, 10): matched n-grams of orders 1 to 4, all n-grams of these orders, words said, words wanted.
    """
    return np.array([_bleu_row(*pair) for pair in zip(references, answers, strict=True)]).reshape(-1, 2 * ORDERS + 2)


def bleu(sums: Sums) -> NDArray[np.float64]:
    """Scores summed statistics as corpus BLEU-4 with brevity penalty, unsmoothed.

    Args:
        sums: Sums (D, 10) of `bleu_statistics`.

    Returns:
        BLEU (D), from 0 to 1.
    """
    matched, total = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    said, wanted = sums[:, -2], sums[:, -1]
    usable = (matched > 0).all(axis=1)
    precision = np.where(matched > 0, matched, 1.0) / np.maximum(total, 1.0)
    brevity = np.minimum(1.0, np.exp(1.0 - wanted / np.maximum(said, 1e-12)))
    return np.where(usable, brevity * np.exp(np.log(precision).mean(axis=1)), 0.0)


def _longest_common(first: list[str], second: list[str]) -> int:
    """Counts the longest common subsequence, one row of the table at a time."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for position, other in enumerate(second, start=1):
            above = row[position]
            row[position] = diagonal + 1 if word == other else max(above, row[position - 1])
            diagonal = above
    return row[-1]


def _bleu_row(reference: str, answer: str) -> list[float]:
    wanted, given = words_of(reference), words_of(answer)
    matched, total = [], []
    for order in range(1, ORDERS + 1):
        grams = _grams(given, order)
        matched.append((grams & _grams(wanted, order)).total())
        total.append(grams.total())
    return [float(number) for number in (*matched, *total, len(given), len(wanted))]


def _grams(words: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


SCORERS = (
    Scorer(
        "rouge_l",
        "ROUGE-L",
        "longest common run of words",
        "overlap",
        lambda texts: rouge_statistics(texts.references, texts.answers),
        ratio_of_sums,
    ),
    Scorer(
        "bleu_4",
        "BLEU-4",
        "shared runs of one to four words",
        "overlap",
        lambda texts: bleu_statistics(texts.references, texts.answers),
        bleu,
    ),
)
