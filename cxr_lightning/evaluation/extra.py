"""Scores that need weights of their own, beside those that need none: built first, so that what is missing is told now.

They read no more than the texts; whoever has predictions.jsonl can add them later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cxr_lightning.scoring.scorer import Scorer


@dataclass(frozen=True)
class Radeval:
    """Scores of the radeval package.

    Attributes:
        weights: Folder that holds their weights.
        scores: Which: radgraph, chexbert, radcliq, ratescore, green.
        python: Interpreter of an environment of their own that has the package; this one if not given.
    """

    weights: Path
    scores: list[str] = field(default_factory=lambda: ["radgraph", "chexbert"])
    python: Path | None = None


def extra_scorers(bertscore: Path | None, radeval: Radeval | None) -> list[Scorer]:
    """Makes the scores that are asked for.

    Args:
        bertscore: Folder of a text encoder.
        radeval: Scores of the radeval package.

    Raises:
        ValueError: Weights or the package are missing; the message says how to get them.
    """
    found: list[Scorer] = []
    if bertscore is not None:
        from cxr_lightning.scoring.bertscore import bertscore as scorer_of

        found.append(scorer_of(bertscore))
    if radeval is not None:
        from cxr_lightning.scoring.radeval import radeval_scorers

        found += radeval_scorers(radeval.scores, radeval.weights, python=radeval.python)
    return found
