"""Did it look? The leading score with each image, what the own image adds, and the likelihood of references.

Enters metrics.json; leaves charts whose geometry is worked out, in the units of their view boxes. Likelihoods are in
nats a token, less is better; every part of `metrics["grounding"]` may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cxr_lightning.evaluation.page.scores import gap_of, values_of
from cxr_lightning.evaluation.page.words import VARIANT_NAMES, known, say, say_span
from cxr_lightning.scoring.registry import SCORERS

WIDTH, LEFT, RIGHT, ROW = 560, 172, 112, 34
_LEADING = ("findings_micro_f1", "observations_micro_f1")
_BINS = 30
HIST_WIDTH, HIST_HEIGHT = 560, 150


def draw_scores(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Draws the leading score by image, and the differences; None where nothing was measured.

    Args:
        metrics: What stands in metrics.json.
    """
    names = [str(metrics.get("headline", "")), *_LEADING, *(scorer.name for scorer in SCORERS)]
    name = next((name for name in names if known(metrics.get(name))), None)
    if name is None:
        return None
    scorer = next((scorer for scorer in SCORERS if scorer.name == name), None)
    values = list(values_of(metrics, name).values())
    better = "higher" if scorer is None else scorer.better
    gaps = [gap for variant in list(VARIANT_NAMES)[1:] if (gap := gap_of(metrics, name, variant, better))]
    return {
        "name": name,
        "better": better,
        "title": name if scorer is None else scorer.title,
        "values": _rows(values, 0.0, 1.0),
        "gaps": _rows(gaps, -1.0, 1.0) if gaps else None,
    }


def draw_likelihood(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Draws how likely references are under each image; None where it was not measured.

    Args:
        metrics: What stands in metrics.json.
    """
    found = metrics.get("grounding") or {}
    nats = {variant: _number(value) for variant, value in (found.get("nats_per_token") or {}).items()}
    rows = [
        {"variant": variant, "said": words, **entry}
        for variant, words in VARIANT_NAMES.items()
        if (entry := nats.get(variant)) is not None
    ]
    gap = _number(found.get("own_minus_swapped"))
    share: Any = found.get("studies_better_with_own_image")
    gaps = [-float(value) for value in found.get("gaps") or () if known(value)]
    if not rows and not gaps and not gap:
        return None
    top = max((row["high"] if known(row["high"]) else row["value"] for row in rows), default=1.0)
    return {
        "rows": _rows(rows, 0.0, float(top) or 1.0) if rows else None,
        "gap": gap and {"text": say(-gap["value"], sign=True), "span": _turned(gap)},
        "share": f"{100 * share:.0f} %" if known(share) else "",
        "histogram": _histogram(gaps) if len(gaps) > 1 else None,
    }


def spread(scores: Sequence[float]) -> dict[str, Any] | None:
    """Draws how the studies' own F1 values are spread; None for fewer than two studies.

    Args:
        scores: F1 of each study, from 0 to 1.
    """
    if len(scores) < 2:
        return None
    counts, _ = np.histogram(scores, bins=10, range=(0.0, 1.0))
    most = max(int(counts.max()), 1)
    bars = [
        {"percent": round(100 * count / most, 1), "count": count, "from": f"{n / 10:.1f}", "to": f"{(n + 1) / 10:.1f}"}
        for n, count in enumerate(counts.tolist())
    ]
    return {"bars": bars}


def _number(value: Any) -> dict[str, Any] | None:
    """Reads a number that may come with its interval."""
    parts = value if isinstance(value, Mapping) else {"value": value}
    if not known(parts.get("value")):
        return None
    low, high = parts.get("low"), parts.get("high")
    return {
        "value": parts["value"],
        "low": low,
        "high": high,
        "text": say(parts["value"]),
        "span": say_span(low, high),
    }


def _turned(gap: Mapping[str, Any]) -> str:
    low, high = gap["low"], gap["high"]
    return say_span(-high, -low, sign=True) if known(low) and known(high) else ""


def _rows(entries: Sequence[Mapping[str, Any]], low: float, high: float) -> dict[str, Any]:
    """Places values and intervals, a line each, on an axis that holds them all."""
    ends = [entry[part] for entry in entries for part in ("value", "low", "high") if known(entry[part])]
    if low < 0:  # differences: as wide as they are, zero in the picture
        low, high = min(-0.1, *ends), max(0.1, *ends)
    low, high = min(low, *ends), max(high, *ends)

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

    lines = []
    for number, entry in enumerate(entries):
        sure = known(entry["low"]) and known(entry["high"])
        lines.append(
            {
                **entry,
                "y": ROW * number + ROW // 2,
                "x": x(entry["value"]),
                "x_low": x(entry["low"]) if sure else None,
                "x_high": x(entry["high"]) if sure else None,
            }
        )
    return {
        "lines": lines,
        "height": ROW * len(lines) + 22,
        "bottom": ROW * len(lines),
        "zero": x(0.0),
        "ticks": [(x(value), say(value)) for value in _ticks(low, high)],
    }


def _ticks(low: float, high: float) -> list[float]:
    """Chooses three to six round numbers within a range."""
    width = high - low
    step = next((step for step in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0) if width / step <= 5.001), width)
    first = int(np.ceil(low / step - 1e-9))
    return [round(number * step, 6) for number in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _histogram(gaps: Sequence[float]) -> dict[str, Any]:
    """Draws how much likelier each reference is with its own image; zero lies between two bars."""
    size = float(np.percentile(np.abs(gaps), 98)) or 1.0
    counts, edges = np.histogram(np.clip(gaps, -size, size), bins=_BINS, range=(-size, size))
    most, width = max(int(counts.max()), 1), HIST_WIDTH / _BINS
    bars = [
        {
            "x": round(number * width + 1, 1),
            "y": round((HIST_HEIGHT - 24) * (1 - count / most), 1),
            "height": round((HIST_HEIGHT - 24) * count / most, 1),
            "width": round(width - 2, 1),
            "side": "better" if edges[number] >= -1e-12 else "worse",
            "count": count,
        }
        for number, count in enumerate(counts.tolist())
    ]
    ticks = [(0, say(-size, sign=True)), (HIST_WIDTH / 2, "0"), (HIST_WIDTH, say(size, sign=True))]
    return {"bars": bars, "ticks": ticks}
