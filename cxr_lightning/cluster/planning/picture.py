"""The plot of a plan: how training time and memory of a GPU change with the number of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.cluster.planning.memory import GIB
from cxr_lightning.cluster.planning.scaling import Point

_BLUE, _ORANGE = "#1f6fb2", "#c8641e"


def draw(points: Sequence[Point], limit: int, title: str, file: Path) -> None:
    """Draws the plot.

    Args:
        points: The training on several numbers of nodes.
        limit: Bytes of a GPU.
        title: What is trained.
        file: PNG to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (hours, memory) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    _hours(hours, points)
    _memory(memory, points, limit)
    for axis in (hours, memory):
        axis.set_xscale("log", base=2)
        axis.set_xticks([point.nodes for point in points], [str(point.nodes) for point in points])
        axis.set_xlabel("nodes")
        axis.grid(which="major", color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    aside = file.with_name(f"{file.name}.partial")
    figure.savefig(aside, dpi=150, format="png")
    pyplot.close(figure)
    aside.replace(file)


def _hours(axis: Any, points: Sequence[Point]) -> None:
    nodes = [point.nodes for point in points]
    best, worst = ([point.hours[which] for point in points] for which in (0, 1))
    axis.fill_between(nodes, best, worst, color=_BLUE, alpha=0.18, linewidth=0)
    axis.plot(nodes, best, color=_BLUE, marker="o", markersize=4, label="all sent while others are computed")
    axis.plot(nodes, worst, color=_ORANGE, marker="o", markersize=4, label="nothing sent meanwhile")
    grown = [point for point in points if point.grown]
    if grown:
        axis.axvspan(grown[0].nodes / 2**0.5, nodes[-1] * 2**0.25, color="#f3ead9", zorder=0, linewidth=0)
        axis.annotate(
            "global batch\nhas to grow", (grown[0].nodes / 2**0.4, 0.02), xycoords=("data", "axes fraction"),
            fontsize=8, color="#7a5a20", va="bottom",
        )  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylabel("hours of training")
    axis.legend(fontsize=8, frameon=False)


def _memory(axis: Any, points: Sequence[Point], limit: int) -> None:
    sizes = [point.memory / GIB for point in points]
    axis.plot([point.nodes for point in points], sizes, color=_BLUE, marker="o", markersize=4)
    axis.axhline(limit / GIB, color=_ORANGE, linestyle="--", linewidth=1)
    told, place = f"{limit / GIB:g} GiB of a GPU", (points[0].nodes, limit / GIB)
    axis.annotate(told, place, fontsize=8, color=_ORANGE, va="bottom")
    axis.set_ylim(0, 1.12 * max(limit / GIB, *(point.memory / GIB for point in points)))
    axis.set_ylabel("GiB of each GPU")
