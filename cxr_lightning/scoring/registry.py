"""All scores, in the order of tables. A new one is a row in its own file, and that file's name here."""

from __future__ import annotations

from cxr_lightning.scoring import bleu, chrf, cider, labels, meteor, observations, rouge
from cxr_lightning.scoring.scorer import Scorer

SCORERS: tuple[Scorer, ...] = (
    *labels.SCORERS,
    *observations.SCORERS,
    *rouge.SCORERS,
    *bleu.SCORERS,
    *chrf.SCORERS,
    *meteor.SCORERS,
    *cider.SCORERS,
)
"""What needs no weights and no package beyond the usual ones."""


def scorer_named(name: str) -> Scorer:
    """Returns a score by its name.

    Args:
        name: The name.

    Raises:
        KeyError: There is none.
    """
    for scorer in SCORERS:
        if scorer.name == name:
            return scorer
    raise KeyError(f"no score is called {name!r}; there are {', '.join(scorer.name for scorer in SCORERS)}")
