"""CIDEr-D: shared runs of one to four words, each weighed by how few of the references have it.

Enters all texts at once; leaves one score a study, whose mean over studies is the score (Vedantam et al. 2015). Equal
to pycocoevalcap's on the same words (its own tokeniser needs Java). "No effusion", which every report says, is worth
little here: that makes it the overlap score least impressed by a report that fits everyone.

The weights come from the references of these very studies, so numbers of different sets of studies do not compare; a
draw of the bootstrap keeps the weights of the whole set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.scorer import Scorer
from cxr_lightning.scoring.words import Grams, grams_of, words_of

ORDERS = 4
SIGMA = 6.0
"""How much longer or shorter, in words, an answer may be before it costs a lot."""
FULL = 10.0
"""What an answer equal to its reference scores."""


def cider_d(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Scores every answer.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Scores (N), from 0 to 10. With a single study no run of words is rarer than another, and all is 0.
    """
    wanted = [_runs(reference) for reference in references]
    known = Counter(run for orders in wanted for grams in orders for run in grams)
    most = math.log(max(len(references), 1))
    rarity = {run: most - math.log(count) for run, count in known.items()}
    pairs = zip(wanted, answers, strict=True)
    return np.array([_similarity(orders, _runs(answer), rarity, most) for orders, answer in pairs], dtype=np.float64)


def cider_statistics(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Collects CIDEr-D of each study for `bootstrap.ratio_of_sums`.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Statistics (N, 2): score and weight 1.
    """
    scores = cider_d(references, answers)
    return np.stack([scores, np.ones_like(scores)], axis=1)


def _runs(text: str) -> list[Grams]:
    words = words_of(text)
    return [grams_of(words, order) for order in range(1, ORDERS + 1)]


def _similarity(wanted: list[Grams], given: list[Grams], rarity: dict[tuple[str, ...], float], most: float) -> float:
    """Takes the cosine of the weighed counts, clipped to the reference's, over the orders."""
    total = 0.0
    for there, here in zip(wanted, given, strict=True):
        shared = sum(
            min(count, there[run]) * there[run] * rarity[run] ** 2 for run, count in here.items() if run in there
        )
        if shared:
            total += shared / (_norm(there, rarity, most) * _norm(here, rarity, most))
    # The reference implementation compares lengths in pairs of words.
    difference = wanted[1].total() - given[1].total()
    return FULL / ORDERS * total * math.exp(-(difference**2) / (2 * SIGMA**2))


def _norm(grams: Grams, rarity: dict[tuple[str, ...], float], most: float) -> float:
    return math.sqrt(sum((count * rarity.get(run, most)) ** 2 for run, count in grams.items()))


SCORERS = (
    Scorer(
        "cider_d",
        "CIDEr-D",
        "shared runs of words, rare ones weighing more",
        "overlap",
        lambda texts: cider_statistics(texts.references, texts.answers),
        ratio_of_sums,
    ),
)
