"""Loss curves for the page: what a run wrote step by step becomes lines in a small chart.

Enters run directories (metrics.jsonl, one JSON object a line with a `step` and any number of `...loss` values); leaves
charts whose geometry is worked out, so that the template only writes it down.
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

Point = tuple[float, float]


class CurveError(ValueError):
    """A run's metrics.jsonl is missing or is not what a run writes."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's losses.

    Attributes:
        name: The run.
        series: Points (step, loss) by the name of the loss.
    """

    name: str
    series: dict[str, tuple[Point, ...]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve as the template draws it, in the units of its view box.

    Attributes:
        name: The run.
        lines: Name, SVG points and last value of each loss.
        rows: Height and text of the marks of the loss axis.
        columns: Place and text of the marks of the step axis.
    """

    name: str
    lines: list[tuple[str, str, float]]
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]


def read_curves(runs: Iterable[Path]) -> list[Curve]:
    """Reads the losses of runs.

    Args:
        runs: Run directories, or their metrics.jsonl.

    Returns:
        One curve a run; runs without any loss are left out.

    Raises:
        CurveError: If a run has no metrics.jsonl or a line of it is not JSON.
    """
    curves = []
    for run in runs:
        path = run / "metrics.jsonl" if run.is_dir() else run
        if not path.is_file():
            raise CurveError(f"{path} does not exist. Name a run directory in which training has logged a step.")
        series = _read_series(path)
        if series:
            curves.append(Curve(path.parent.name, series))
    return curves


def draw_chart(curve: Curve) -> Chart:
    """Works out where everything of a chart lies.

    Args:
        curve: The losses of a run.
    """
    points = [point for series in curve.series.values() for point in series]
    last = max(step for step, _ in points) or 1.0
    low, high = 0.0, max(loss for _, loss in points) or 1.0
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
            if name.endswith("loss") and isinstance(value, int | float) and math.isfinite(value):
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
