"""The studies on which models differ most, for looking at.

Enters the models' statistics; leaves the studies by how far apart their findings are, then their words. Both sides are
shown alike often: a page of one model's triumphs would show no comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from cxr_lightning.evaluation.compare.questions import Reading
from cxr_lightning.scoring.registry import scorer_named

_SECOND = "rouge_l"
# Words decide only between studies whose findings are equally far apart.
_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Contrast:
    """A study on which two models differ.

    Attributes:
        place: Its place among the studies.
        rival: Letter of the model that differs most from the first here.
        scores: The leading score of every model on this study alone, in their order.
        gap: The rival's minus the first's; with it, what their words add where it is 0.
    """

    place: int
    rival: str
    scores: tuple[float, ...]
    gap: float


def most_different(reading: Reading, most: int) -> list[Contrast]:
    """Finds the studies on which rivals differ most from the first model.

    Args:
        reading: The models' statistics.
        most: How many.

    Returns:
        Studies where a rival is ahead and where the first is, by turns, the farthest apart first; none on which all
        say the same.
    """
    pairs = reading.pairs
    lead, words = scorer_named(pairs.headline), scorer_named(_SECOND)
    # A study alone is a sum of one, so the score of its row is its own score.
    scores = np.stack([lead.score_of(reading.of(lead, model)) for model in pairs.models])
    overlap = np.stack([words.score_of(reading.of(words, model)) for model in pairs.models])
    gaps = (scores[1:] - scores[:1]) + _WEIGHT * (overlap[1:] - overlap[:1])
    widest = np.abs(gaps).argmax(axis=0)
    found = [
        Contrast(place, pairs.rivals[rival].letter, tuple(scores[:, place].tolist()), float(gaps[rival, place]))
        for place, rival in enumerate(widest.tolist())
        if gaps[rival, place] != 0
    ]
    ordered = sorted(found, key=lambda each: (-abs(each.gap), each.place))
    ahead, behind = [each for each in ordered if each.gap > 0], [each for each in ordered if each.gap < 0]
    by_turns = [each for each in chain(*zip_longest(ahead, behind)) if each is not None]
    return sorted(by_turns[:most], key=lambda each: (-abs(each.gap), each.place))
