"""The table of scores: for every score its value with the own image, with others, and what the image is worth.

Enters metrics.json; leaves rows in groups, with the places of marks on a strip in percent of its width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.metrics import VARIANTS
from cxr_lightning.evaluation.page.words import VARIANT_NAMES, known, say, say_span
from cxr_lightning.evaluation.sureness import FEWEST_PATIENTS, LEVEL
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Scorer

GROUPS = {
    "findings": ("Located findings", "what is there, and on which side"),
    "observations": ("The 14 observations", "what is there, wherever it is"),
    "overlap": ("Words", "how far the wording agrees with the reference; weak evidence of what was seen"),
    "learned": ("Trained scorers", "other models’ opinion of both texts"),
}


def score_groups(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lays out the table.

    Args:
        metrics: What stands in metrics.json.

    Returns:
        Groups that have a score, each with title, meaning and rows.
    """
    rows: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    for name, scorer in _present(metrics).items():
        rows["learned" if scorer is None else scorer.group].append(_row(metrics, name, scorer))
    return [
        {"name": group, "title": title, "meaning": meaning, "rows": rows[group]}
        for group, (title, meaning) in GROUPS.items()
        if rows[group]
    ]


def values_of(metrics: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Returns a score's value and interval by variant, for those that were measured.

    Args:
        metrics: What stands in metrics.json.
        name: The score's name.
    """
    found = {}
    for variant, ending in VARIANTS.items():
        value = metrics.get(name + ending)
        if known(value):
            low, high = (metrics.get("intervals") or {}).get(name + ending) or (None, None)
            found[variant] = {
                "variant": variant,
                "said": VARIANT_NAMES[variant],
                "value": value,
                "low": low,
                "high": high,
                "text": say(value),
                "span": say_span(low, high),
            }
    return found


def gap_of(metrics: Mapping[str, Any], name: str, variant: str, better: str = "higher") -> dict[str, Any] | None:
    """Returns how much better a score is with the own image than with another variant, and how sure that is.

    Args:
        metrics: What stands in metrics.json.
        name: The score's name.
        variant: The other variant.
        better: Whether more or less of the score is better; the sign is turned so that more is better.
    """
    found = (metrics.get("differences") or {}).get(f"{name}_own_minus_{variant}")
    if not found or not known(found.get("value")):
        return None
    value, low, high = (found.get(part) for part in ("value", "low", "high"))
    if better == "lower":
        value, low, high = (None if each is None else -each for each in (value, high, low))
    sure = "open"
    few = metrics.get("patients", FEWEST_PATIENTS) < FEWEST_PATIENTS
    if known(low) and known(high) and not few and found.get("p", 0.0) < LEVEL:
        sure = "better" if low > 0 else "worse" if high < 0 else "open"
    return {
        "variant": variant,
        "said": VARIANT_NAMES[variant],
        "value": value,
        "low": low,
        "high": high,
        "text": say(value, sign=True),
        "span": say_span(low, high, sign=True),
        "sure": sure,
    }


def _present(metrics: Mapping[str, Any]) -> dict[str, Scorer | None]:
    """Returns the scores that were measured; those that this version does not know come last, under their names."""
    scorers: dict[str, Scorer | None] = {each.name: each for each in SCORERS if known(metrics.get(each.name))}
    endings = tuple(ending for ending in VARIANTS.values() if ending)
    others = [name for name in metrics.get("intervals") or {} if not name.endswith(endings)]
    return scorers | {name: None for name in others if name not in scorers and known(metrics.get(name))}


def _row(metrics: Mapping[str, Any], name: str, scorer: Scorer | None) -> dict[str, Any]:
    cells = values_of(metrics, name)
    ends = [cell[part] for cell in cells.values() for part in ("value", "low", "high") if known(cell[part])]
    low, high = min(0.0, *ends), max(1.0, *ends)
    high = high if high <= 1 else math.ceil(high)
    better = "higher" if scorer is None else scorer.better
    return {
        "name": name,
        "title": name if scorer is None else scorer.title,
        "meaning": "" if scorer is None else scorer.meaning,
        "better": better,
        "cells": cells,
        "marks": [_place(cell, low, high) for cell in reversed(cells.values())],
        "scale": "" if (low, high) == (0, 1) else f"{low:g} to {high:g}",
        "gap": gap_of(metrics, name, "swapped", better),
    }


def _place(cell: Mapping[str, Any], low: float, high: float) -> dict[str, Any]:
    """Places one value on a strip."""

    def percent(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    ends = (cell["low"], cell["high"])
    span = (percent(ends[0]), percent(ends[1])) if all(map(known, ends)) else None
    return {"variant": cell["variant"], "at": percent(cell["value"]), "span": span}
