"""What an evaluation found, written into the card of the model that was evaluated.

The card is made at export, before anything can be scored; the section under its heading is replaced each time.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.metrics import VARIANTS, score_in
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.serve.folder import is_ours

HEADING = "## Evaluation"
_COUNTED = re.compile(r"^(\d+) studies of", re.MULTILINE)
_SECTION = re.compile(rf"^{HEADING}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def note_in_card(model: Path, metrics: Mapping[str, Any]) -> bool:
    """Writes scores into a model's card.

    Args:
        model: The model's folder; one that `cxr export` did not write is left alone, and so is one that may not be
            written, or whose card has the scores of more studies.
        metrics: What was measured.

    Returns:
        Whether there was a card to write into.
    """
    card = model / "README.md"
    if not is_ours(model):
        return False
    with contextlib.suppress(OSError):
        text = card.read_text(encoding="utf-8")
        there = _SECTION.search(text)
        counted = there and _COUNTED.search(there[0])
        if counted and int(counted[1]) > metrics["studies"]:
            return False
        if there:
            write_text(card, _SECTION.sub(lambda found: _section(metrics), text, count=1))
            return True
    return False


def _section(metrics: Mapping[str, Any]) -> str:
    rows = []
    for scorer in SCORERS:
        found = [score_in(metrics, scorer.name + ending) for ending in VARIANTS.values()]
        scores = " | ".join(f"{say(each.value)} ({say_span(each.low, each.high) or '–'})" for each in found)
        rows.append(f"| {scorer.title} | {scores} |")
    about = (
        f"{metrics['studies']} studies of {metrics['patients']} patients of the {metrics['split']} split of shards "
        f"`{str(metrics['shards'])[:16]}`, 95 % intervals by patient. A model that scores the same with another "
        "patient's image has not looked at it."
    )
    head = "| score | its own image | another patient's | a blank image | the commonest report |"
    table = "\n".join([head, "|---" * 5 + "|", *rows])
    return f"{HEADING}\n\n{about}\n\n{table}\n\n{metrics['verdict']}\n\n"
