"""Curves for the page: what a run wrote step by step becomes lines in small charts.

Enters run directories (metrics.jsonl, one JSON object a line with a `step` and any number of `...loss` and `score/...`
values); leaves charts whose geometry is worked out, so that the template only writes it down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 26
_MOST_POINTS = 240
_SCORES = {
    "findings_micro_f1": "findings, micro F1",
    "observations_micro_f1": "14 observations, micro F1",
}
"""The scores that are drawn, where a run scored itself while it learned."""

Point = tuple[float, float]


class CurveError(ValueError):
    """A run's metrics.jsonl is missing or is not what a run writes."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's losses, or one of its scores.

    Attributes:
        name: The run.
        series: Points (step, value) by the name of the line.
        what: What is drawn.
    """

    name: str
    series: dict[str, tuple[Point, ...]]
    what: str = "loss"


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve as the template draws it, in the units of its view box.

    Attributes:
        name: The run.
        what: What is drawn.
        lines: Name, SVG points and last value of each line.
        rows: Height and text of the marks of the upright axis.
        columns: Place and text of the marks of the step axis.
    """

    name: str
    what: str
    lines: list[tuple[str, str, float]]
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]


def read_curves(runs: Iterable[Path]) -> list[Curve]:
    """Reads the losses of runs, and how they scored themselves with the own image and with another patient's.

    Args:
        runs: Run directories, or their metrics.jsonl.

    Returns:
        A curve of losses a run, and one of each score that is drawn; what a run did not log is left out.

    Raises:
        CurveError: If a run has no metrics.jsonl or a line of it is not JSON.
    """
    curves = []
    for run in runs:
        path = run / "metrics.jsonl" if run.is_dir() else run
        if not path.is_file():
            raise CurveError(f"{path} does not exist. Name a run directory in which training has logged a step.")
        series = _read_series(path)
        losses = {name: points for name, points in series.items() if name.endswith("loss")}
        curves += [Curve(path.parent.name, losses)] if losses else []
        for score, words in _SCORES.items():
            lines = {"own image": f"score/{score}", "another patient’s": f"score/{score}_swapped"}
            found = {said: series[name] for said, name in lines.items() if name in series}
            curves += [Curve(path.parent.name, found, words)] if found else []
    return curves


def draw_chart(curve: Curve) -> Chart:
    """Works out where everything of a chart lies.

    Args:
        curve: What to draw.
    """
    points = [point for series in curve.series.values() for point in series]
    last = max(step for step, _ in points) or 1.0
    low, high = 0.0, max(value for _, value in points) or 1.0
    rows = _marks(low, high)
    high = max(high, rows[-1])

    def place(point: Point) -> Point:
        x = LEFT + (WIDTH - LEFT - RIGHT) * point[0] / last
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (point[1] - low) / (high - low))
        return round(x, 1), round(y, 1)

    lines = [
        (name, " ".join("{},{}".format(*place(point)) for point in series), series[-1][1])
        for name, series in curve.series.items()
    ]
    return Chart(
        name=curve.name,
        what=curve.what,
        lines=lines,
        rows=[(place((0, mark))[1], f"{mark:g}") for mark in rows],
        columns=[(place((mark, 0))[0], f"{mark:g}") for mark in _marks(0.0, last) if mark <= last],
    )


def _read_series(path: Path) -> dict[str, tuple[Point, ...]]:
    series: dict[str, list[Point]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            raise CurveError(f"{path}, line {number}: not JSON. Remove the line, or leave this run out.") from None
        for name, value in row.items():
            drawn = name.endswith("loss") or name.startswith("score/")
            if drawn and isinstance(value, int | float) and math.isfinite(value):
                series.setdefault(name, []).append((float(row.get("step", number)), float(value)))
    return {name: _thin(points) for name, points in series.items()}


def _thin(points: Sequence[Point]) -> tuple[Point, ...]:
    """Averages neighbours so that a long run stays a small page."""
    width = math.ceil(len(points) / _MOST_POINTS)
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    return tuple((part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts)


def _marks(low: float, high: float) -> list[float]:
    """Chooses four to seven round numbers that span a range."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.75 * rough)
    return [round(low + number * step, 10) for number in range(math.ceil((high - low) / step - 1e-9) + 1)]
