"""Counts enter, bars leave: geometry worked out, so that the template only draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, FLOOR = 560, 150, 126
"""Of a histogram, in the units of its view box; below the floor stand numbers."""
_BINS, _FEWEST = 32, 4


def histogram(counts: Mapping[int, int], unit: str) -> dict[str, Any] | None:
    """Draw how numbers are spread; None where there are too few different ones to be spread.

    Args:
        counts: How often each number is there.
        unit: What is counted, for its readers.

    Returns:
        Bars and ticks. What lies above 99.5 % is in the last bar, which says so: one giant would flatten the rest.
    """
    total = sum(counts.values())
    if len(counts) < _FEWEST:
        return None
    least, most = min(counts), _most(counts, total)
    step = max(1, math.ceil((most - least + 1) / _BINS))
    bins = [0] * ((most - least) // step + 1)
    for number, count in counts.items():
        bins[(min(number, most) - least) // step] += count
    highest, width = max(bins), WIDTH / len(bins)
    bars = []
    for place, count in enumerate(bins):
        low, high = least + place * step, least + (place + 1) * step - 1
        beyond = place == len(bins) - 1 and max(counts) > high
        said = f"{low} and more" if beyond else f"{low}" if step == 1 else f"{low} to {high}"
        tall = (FLOOR - 6) * count / highest
        bars.append(
            {
                "x": round(place * width + min(1.0, width / 8), 2),
                "width": round(width - min(2.0, width / 4), 2),
                "y": round(FLOOR - max(tall, 1.0 if count else 0.0), 2),
                "height": round(max(tall, 1.0 if count else 0.0), 2),
                "said": f"{said} {unit}: {count:,}",
            }
        )
    return {"bars": bars, "ticks": _ticks(least, least + len(bins) * step), "unit": unit}


def _most(counts: Mapping[int, int], total: int) -> int:
    before = 0
    for number in sorted(counts):
        before += counts[number]
        if before >= 0.995 * total:
            return number
    return max(counts)


def _ticks(least: int, most: int) -> list[tuple[float, str]]:
    """Place three to six round numbers on the floor."""
    wide = max(1, most - least)
    step = next(
        (step for power in range(7) for step in (10**power, 2 * 10**power, 5 * 10**power) if wide / step <= 6), wide
    )
    first = -(-least // step) * step
    return [(round(WIDTH * (n - least + 0.5) / wide, 1), f"{n:,}") for n in range(first, most, step)]


def bars(counts: Iterable[tuple[Any, int]], total: int, most: int = 12) -> list[dict[str, Any]]:
    """Lay counts out as rows of bars, the rest of a long list in one.

    Args:
        counts: Names with how often each is there, in order.
        total: Of how many.
        most: Rows at the most.
    """
    every = list(counts)
    rows = every if len(every) <= most else every[: most - 1]
    longest = max((count for _, count in rows), default=0) or 1
    laid = [
        {
            "name": str(name),
            "count": count,
            "share": share(count, total),
            "width": round(100 * count / longest, 2),
            "rest": False,
        }
        for name, count in rows
    ]
    if len(rows) < len(every):
        rest = sum(count for _, count in every[len(rows) :])
        name = f"{len(every) - len(rows)} others"
        laid.append({"name": name, "count": rest, "share": share(rest, total), "width": 0, "rest": True})
    return laid


def share(count: int, total: int) -> str:
    """Say a share in words that fit a column.

    Args:
        count: How many.
        total: Of how many.
    """
    if not total:
        return ""
    percent = 100 * count / total
    return (
        "0 %"
        if not count
        else "< 0.1 %"
        if percent < 0.1
        else f"{percent:.1f} %"
        if percent < 10
        else f"{percent:.0f} %"
    )


def stacks(
    observations: Mapping[str, Mapping[str, Mapping[str, int]]], samples: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Lay the observations out: how often stated, left open and denied, and how often stated in each split.

    Args:
        observations: By name, split and certainty.
        samples: By split.
    """
    total = sum(samples.values()) or 1
    rows = []
    for name, splits in observations.items():
        counts = {state: sum(each[state] for each in splits.values()) for state in ("present", "uncertain", "absent")}
        parts = [{"state": state, "width": round(100 * count / total, 2)} for state, count in counts.items() if count]
        stated = [(split, share(splits[split]["present"], samples[split])) for split in samples]
        rows.append({"name": name, "parts": parts, "counts": counts, "stated": stated, "of": sum(counts.values())})
    return rows if any(row["of"] for row in rows) else []  # what nobody speaks of is worth knowing too


def segments(counts: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Divide a bar among counts.

    Args:
        counts: Names with how often each is there.
    """
    total = sum(count for _, count in counts)
    return [
        {"name": name, "count": count, "share": share(count, total), "width": round(100 * count / (total or 1), 2)}
        for name, count in counts
    ]
