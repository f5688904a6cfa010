"""A sweep at a glance: the best validation loss against the learning rate, and the curve of every trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.cluster.sweeps.space import Parameter, short_names, value_text
from cxr_lightning.cluster.sweeps.standing import Standing
from cxr_lightning.cluster.sweeps.table import best_of

_MARKS = {"done": "o", "stopped": "v", "failed": "x"}
_MOST_NAMED = 12


def axis_of(parameters: dict[str, dict[str, Any]]) -> str | None:
    """Returns the configuration key that the plot's axis shows: a learning rate where one is varied, else any number.

    Args:
        parameters: How keys are varied, as in the sweep's record.
    """
    numeric = [key for key, how in parameters.items() if Parameter(**how).numeric]
    rates = [key for key in numeric if key.rpartition(".")[2] == "lr" or ".rates." in key]
    return next(iter([*rates, *numeric]), None)


def draw(standings: Sequence[Standing], parameters: dict[str, dict[str, Any]], file: Path, title: str) -> None:
    """Draws a sweep.

    Args:
        standings: Its trials.
        parameters: How keys are varied, as in the sweep's record.
        file: The PNG.
        title: What stands above.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    key = axis_of(parameters)
    panels = 1 if key is None else 2
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        size = (5.2 * panels, 3.8)
        figure, axes = plt.subplots(1, panels, figsize=size, dpi=150, squeeze=False, layout="constrained")
        colours = _colours(standings, key, plt)
        if key is not None:
            _against(axes[0][0], standings, key, parameters, colours)
        _curves(axes[0][-1], standings, colours)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        aside = file.with_name(f"{file.name}.partial")
        figure.savefig(aside, format="png")
        plt.close(figure)
    aside.replace(file)


def _against(
    axis: Any, standings: Sequence[Standing], key: str, parameters: dict[str, dict[str, Any]], colours: dict[str, Any]
) -> None:
    """Best losses against a parameter; trials alike in all others are joined."""
    groups: dict[str, list[tuple[float, float]]] = {}
    others = [other for other in parameters if other != key]
    short = short_names(list(parameters))
    for each in standings:
        value = each.trial.values[key]
        if each.best is None or not isinstance(value, int | float):
            continue
        axis.plot(value, each.best[1], _MARKS.get(each.state, "o"), color=colours[each.name], zorder=3)
        if all(parameters[other].get("grid") is not None for other in others):
            group = ", ".join(f"{short[other]}={value_text(each.trial.values[other])}" for other in others)
            groups.setdefault(group, []).append((value, each.best[1]))
    for name, points in groups.items():
        places, losses = zip(*sorted(points), strict=True)
        axis.plot(places, losses, color="0.75", linewidth=1, zorder=1)
        if name:
            axis.annotate(name, (places[-1], losses[-1]), xytext=(5, 0), textcoords="offset points", fontsize=7)
    failed = [value for each in standings if each.best is None and (value := each.trial.values[key]) is not None]
    if Parameter(**parameters[key]).logarithmic:
        axis.set_xscale("log")
        failed = [value for value in failed if isinstance(value, int | float) and value > 0]
    for value in failed:
        axis.axvline(value, color="0.85", linestyle=":", zorder=0)
    winner = best_of(standings)
    if winner is not None and winner.best is not None:
        ring = {"markersize": 13, "markerfacecolor": "none", "markeredgecolor": "black"}
        axis.plot(winner.trial.values[key], winner.best[1], "o", **ring)
    axis.set(xlabel=short[key] if key.rpartition(".")[2] != "lr" else "learning rate", ylabel="best validation loss")


def _curves(axis: Any, standings: Sequence[Standing], colours: dict[str, Any]) -> None:
    drawn = [each for each in standings if any(math.isfinite(loss) for _, loss in each.curve)]
    for each in drawn:
        points = [point for point in each.curve if math.isfinite(point[1])]
        steps, losses = zip(*points, strict=True)
        axis.plot(steps, losses, color=colours[each.name], linewidth=1.2)
        axis.plot(steps[-1], losses[-1], _MARKS.get(each.state, "o"), color=colours[each.name], markersize=4)
        if len(drawn) <= _MOST_NAMED:
            axis.annotate(
                each.name, (steps[-1], losses[-1]), xytext=(4, 0), textcoords="offset points", fontsize=6, va="center",
                color=colours[each.name],
            )  # fmt: skip
    axis.set(xlabel="step", ylabel="validation loss")
    axis.margins(x=0.02)


def _colours(standings: Sequence[Standing], key: str | None, plt: Any) -> dict[str, Any]:
    """Returns a colour for each trial, by its place along the axis."""
    ordered = [each.name for each in standings]
    if key is not None:
        numbers = {each.name: each.trial.values[key] for each in standings}
        ordered.sort(key=lambda name: numbers[name] if isinstance(numbers[name], int | float) else -math.inf)
    scale = plt.get_cmap("viridis")
    return {name: scale(0.85 * place / max(1, len(ordered) - 1)) for place, name in enumerate(ordered)}
