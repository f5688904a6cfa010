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


def draw(standings: Sequence[Standing], told: dict[str, Any], file: Path, title: str) -> None:
    """Draws a sweep.

    Args:
        standings: Its trials.
        told: What was asked for, as in the sweep's record.
        file: The PNG.
        title: What stands above.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    key = axis_of(told["parameters"])
    panels = 1 if key is None else 2
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        size = (5.2 * panels, 3.8)
        figure, axes = plt.subplots(1, panels, figsize=size, dpi=150, squeeze=False, layout="constrained")
        colours = _colours(standings, key, plt)
        if key is not None:
            _against(axes[0][0], standings, key, told, colours)
        _curves(axes[0][-1], standings, colours)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        aside = file.with_name(f"{file.name}.partial")
        figure.savefig(aside, format="png")
        plt.close(figure)
    aside.replace(file)


def _against(axis: Any, standings: Sequence[Standing], key: str, told: dict[str, Any], colours: dict[str, Any]) -> None:
    """Best losses against a parameter. What may be compared is joined: alike in all else, and after as many steps."""
    numbers = {each.name: float(each.trial.values[key]) for each in standings}
    for each in standings:
        if each.best is not None:
            axis.plot(numbers[each.name], each.best[1], _MARKS.get(each.state, "o"), color=colours[each.name], zorder=3)
    for label, points in _joined(standings, key, told).items():
        places, losses = zip(*sorted(points), strict=True)
        axis.plot(places, losses, color="0.75", linewidth=1, zorder=1)
        _name(axis, label, places[-1], losses[-1], "0.5")
    failed = [numbers[each.name] for each in standings if each.best is None and each.state == "failed"]
    if Parameter(**told["parameters"][key]).logarithmic:
        axis.set_xscale("log")
        failed = [number for number in failed if number > 0]
    for number in failed:
        axis.axvline(number, color="tab:red", linewidth=0.8, linestyle=":", zorder=0)
    winner = best_of(standings)
    if winner is not None and winner.best is not None:
        ring = {"markersize": 13, "markerfacecolor": "none", "markeredgecolor": "black"}
        axis.plot(numbers[winner.name], winner.best[1], "o", **ring)
    named = "learning rate" if key.rpartition(".")[2] == "lr" else short_names(list(told["parameters"]))[key]
    axis.set(xlabel=named, ylabel="best validation loss")


def _joined(standings: Sequence[Standing], key: str, told: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Returns lines by what is said of them: losses at each rung where there are rungs, else the best."""
    others = [other for other in told["parameters"] if other != key]
    if any(told["parameters"][other]["grid"] is None for other in others):
        return {}
    short = short_names(list(told["parameters"]))
    groups: dict[str, list[tuple[float, float]]] = {}
    for each in standings:
        alike = [f"{short[other]}={value_text(each.trial.values[other])}" for other in others]
        for told_of, loss in _compared(each, told["halving"]):
            label = ", ".join([*alike, *told_of])
            groups.setdefault(label, []).append((float(each.trial.values[key]), loss))
    return {label: points for label, points in groups.items() if len(points) > 1}


def _compared(each: Standing, halving: dict[str, Any] | None) -> list[tuple[list[str], float]]:
    if halving is None:
        return [] if each.best is None else [([], each.best[1])]
    rungs = {halving["first"] * halving["factor"] ** rung for rung in range(64)}
    return [([f"step {step}"], loss) for step, loss in each.curve if step in rungs and math.isfinite(loss)]


def _curves(axis: Any, standings: Sequence[Standing], colours: dict[str, Any]) -> None:
    drawn = [each for each in standings if each.best is not None]
    ends = []
    for each in drawn:
        steps, losses = zip(*(point for point in each.curve if math.isfinite(point[1])), strict=True)
        axis.plot(steps, losses, color=colours[each.name], linewidth=1.2)
        axis.plot(steps[-1], losses[-1], _MARKS.get(each.state, "o"), color=colours[each.name], markersize=4)
        ends.append((losses[-1], steps[-1], each.name))
    axis.set(xlabel="step", ylabel="validation loss")
    axis.margins(x=0.02)
    low, high = axis.get_ylim()
    place = -math.inf
    for loss, step, name in sorted(ends) if len(ends) <= _MOST_NAMED else ():
        place = max(loss, place + (high - low) / 30)  # names that would lie over one another are moved apart
        _name(axis, name, step, place, colours[name])


def _name(axis: Any, text: str, x: float, y: float, colour: Any) -> None:
    axis.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", fontsize=6.5, va="center", color=colour)


def _colours(standings: Sequence[Standing], key: str | None, plt: Any) -> dict[str, Any]:
    """Returns a colour for each trial, by its place along the axis."""
    ordered = [each.name for each in standings]
    if key is not None:
        numbers = {each.name: float(each.trial.values[key]) for each in standings}
        ordered.sort(key=numbers.__getitem__)
    scale = plt.get_cmap("viridis")
    return {name: scale(0.85 * place / max(1, len(ordered) - 1)) for place, name in enumerate(ordered)}
