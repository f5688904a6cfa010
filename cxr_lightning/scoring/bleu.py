"""BLEU-1 to BLEU-4: which of an answer's runs of one to four words the reference has too, over the whole corpus.

Enters two texts; leaves counts that add up, so a draw of the bootstrap is a corpus BLEU of its own (Papineni et al.
2002). Equal to sacrebleu with its "13a" tokeniser, LOWER-CASED, and its default smoothing ("exp", for orders without a
match), divided by 100: sacrebleu's signature is nrefs:1|case:lc|eff:no|tok:13a|smooth:exp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import Sums
from cxr_lightning.scoring.scorer import Scorer, Texts
from cxr_lightning.scoring.words import grams_of, tokens_of

ORDERS = 4

# Four scores are made from one row, so each pair is read once.
_REMEMBERED = 2**14


def bleu_statistics(references: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Collects what BLEU sums over a corpus.

    Args:
        references: What was to be said, per study.
        answers: What was said, per study.

    Returns:
        Statistics (N, 10): matched runs of 1 to 4 tokens, all runs of these orders, tokens said, tokens wanted.
    """
    rows = [_row(*pair) for pair in zip(references, answers, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 * ORDERS + 2)


def bleu(sums: Sums, orders: int = ORDERS) -> NDArray[np.float64]:
    """Scores summed statistics as corpus BLEU with brevity penalty.

    An order without any match counts as half a match, the next such order as a quarter, and so on; where the answers
    are shorter than an order, or share not even one token, the score is 0.

    Args:
        sums: Sums (D, 10) of `bleu_statistics`.
        orders: Longest run that counts: 4 for BLEU-4.

    Returns:
        BLEU (D), from 0 to 1.
    """
    matched, total = sums[:, :orders], sums[:, ORDERS : ORDERS + orders]
    said, wanted = sums[:, -2], sums[:, -1]
    missing = matched <= 0
    precision = np.where(missing, 0.5 ** missing.cumsum(axis=1), matched) / np.maximum(total, 1.0)
    brevity = np.exp(np.minimum(0.0, 1.0 - wanted / np.maximum(said, 1e-12)))
    usable = ~missing.all(axis=1) & (total > 0).all(axis=1)
    return np.where(usable, brevity * np.exp(np.log(precision).mean(axis=1)), 0.0)


@lru_cache(maxsize=_REMEMBERED)
def _row(reference: str, answer: str) -> tuple[int, ...]:
    wanted, given = tokens_of(reference), tokens_of(answer)
    matched = [(grams_of(given, order) & grams_of(wanted, order)).total() for order in range(1, ORDERS + 1)]
    total = [max(0, len(given) - order) for order in range(ORDERS)]
    return (*matched, *total, len(given), len(wanted))


def _up_to(orders: int) -> Callable[[Sums], NDArray[np.float64]]:
    return lambda sums: bleu(sums, orders)


def _collect(texts: Texts) -> NDArray[np.float64]:
    return bleu_statistics(texts.references, texts.answers)


_MEANINGS = (
    "shared words, punctuation included",
    "shared runs of one and two words",
    "shared runs of one to three words",
    "shared runs of one to four words",
)
SCORERS = tuple(
    Scorer(f"bleu_{orders}", f"BLEU-{orders}", meaning, "overlap", _collect, _up_to(orders))
    for orders, meaning in enumerate(_MEANINGS, start=1)
)
