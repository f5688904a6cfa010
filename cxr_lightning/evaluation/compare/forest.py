"""Forest plots: a row a difference, its interval as a line, beside the numbers.

Enters differences; leaves where everything lies, in the units of a small SVG a row. All rows of a plot share an axis
with zero in the middle, so that left and right are equally far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cxr_lightning.evaluation.compare.differences import Difference, Need
from cxr_lightning.evaluation.compare.verdict import say_p
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.scoring.bootstrap import Score

WIDTH, HEIGHT, EDGE = 300, 24, 8
_LIMITS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def draw_forest(differences: Sequence[Difference], *, by_view: bool = False) -> dict[str, Any] | None:
    """Draws differences of one rival to the first model.

    Args:
        differences: What to draw, in this order.
        by_view: Whether the views are said in each row.

    Returns:
        Rows and their axis; None where there is nothing to draw.
    """
    if not differences:
        return None
    axis = _Axis([each.gap for each in differences])
    rows = []
    for each in differences:
        notes = ["less is better"] if each.better == "lower" else []
        notes += [f"in {each.support:,} studies"] if each.support is not None else []
        notes += [f"{each.view}, {each.gap.n:,} studies"] if by_view else []
        rows.append(
            {
                "title": each.title,
                "note": ", ".join(notes),
                "first": say(each.first),
                "second": say(each.second),
                "winner": each.winner,
                "p": say_p(each.p) + (" exact" if each.exact else ""),
                "corrected": say_p(each.corrected),
                **axis.placed(each.gap),
            }
        )
    return {"rows": rows, "axis": axis.ticks}


def draw_needs(needs: Sequence[Need], names: dict[str, str]) -> dict[str, Any] | None:
    """Draws what each model's score loses by another patient's image.

    Args:
        needs: Losses of one score.
        names: Name of each model by its letter.
    """
    if not needs:
        return None
    axis = _Axis([need.loss for need in needs])
    rows = [
        {
            "letter": need.letter,
            "title": names[need.letter],
            "looks": need.looks,
            "corrected": say_p(need.corrected),
            **axis.placed(need.loss),
            "loss": say(need.loss.value),
            "span": say_span(need.loss.low, need.loss.high),
        }
        for need in needs
    ]
    return {"rows": rows, "axis": axis.ticks, "score": needs[0].title}


class _Axis:
    """A scale with zero in the middle that holds all intervals."""

    def __init__(self, gaps: Sequence[Score]) -> None:
        ends = [abs(end) for gap in gaps for end in (gap.value, gap.low, gap.high) if math.isfinite(end)]
        most = max(ends, default=0.0)
        self.limit = next((limit for limit in _LIMITS if limit >= most), most)
        marks = (-self.limit, -self.limit / 2, 0.0, self.limit / 2, self.limit)
        self.ticks = [(self.x(mark), f"{mark:g}".replace("-", "−")) for mark in marks]

    def x(self, value: float) -> float:
        """Returns where a value lies."""
        return round(WIDTH / 2 + (WIDTH / 2 - EDGE) * value / self.limit, 1)

    def placed(self, gap: Score) -> dict[str, Any]:
        """Returns where a difference lies, and how it is said."""
        known = math.isfinite(gap.low) and math.isfinite(gap.high)
        return {
            "x": self.x(gap.value) if math.isfinite(gap.value) else None,
            "low": self.x(gap.low) if known else None,
            "high": self.x(gap.high) if known else None,
            "gap": say(gap.value, sign=True),
            "span": say_span(gap.low, gap.high, sign=True),
        }
