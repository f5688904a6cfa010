"""Trials as a table for people, narrow enough for 80 columns where their values are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cxr_lightning.cluster.sweeps.folder import SweepFolder
from cxr_lightning.cluster.sweeps.space import Trial, short_names, value_text
from cxr_lightning.cluster.sweeps.standing import Standing, State

_COLOURS: dict[State, str] = {
    "done": "green", "failed": "bold red", "running": "cyan", "requeued": "yellow", "queued": "cyan",
    "interrupted": "yellow", "cancelled": "yellow", "stopped": "dim", "paused": "blue", "waiting": "dim",
}  # fmt: skip


def trial_table(trials: Sequence[Trial]) -> Table:
    """Returns what will be tried."""
    short = short_names(list(trials[0].values)) if trials else {}
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    for key in short:
        table.add_column(short[key], justify="right")
    table.add_column("run", overflow="fold", style="dim")
    for number, trial in enumerate(trials, start=1):
        table.add_row(str(number), *(value_text(trial.values[key]) for key in short), trial.name)
    return table


def standing_table(standings: Sequence[Standing]) -> Table:
    """Returns where trials stand, in the order that they come."""
    short = short_names(list(standings[0].trial.values)) if standings else {}
    table = Table(box=None, pad_edge=False)
    for key in short:
        table.add_column(short[key], justify="right", overflow="fold")
    table.add_column("best loss", justify="right", no_wrap=True)
    table.add_column("at step", justify="right", no_wrap=True)
    table.add_column("last loss", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("job", style="dim", overflow="fold")
    for each in standings:
        values = (value_text(each.trial.values[key]) for key in short)
        best = each.best
        low, at = ("", "") if best is None else (loss_text(best[1]), str(best[0]))
        last = loss_text(each.curve[-1][1]) if each.curve else ""
        steps = f"{each.logged}/{each.steps}" if each.steps else ""
        table.add_row(*values, low, at, last, steps, state_text(each), each.job)
    return table


def state_text(each: Standing) -> Text:
    """Returns a trial's state, and how often it began where that was more than once."""
    again = f" ({each.attempts} starts)" if each.attempts > 1 else ""
    return Text(f"{each.state}{again}", style=_COLOURS[each.state])


def failures(standings: Sequence[Standing]) -> Text:
    """Returns what is to be said of trials that need somebody: which, why, and the last lines of their log."""
    told = Text()
    for each in standings:
        if each.state in ("failed", "interrupted", "cancelled"):
            told.append(f"{each.name} {each.state}", style=_COLOURS[each.state])
            told.append(f": {each.reason}\n")
            for line in each.tail if len(each.tail) > 1 else ():  # a single one is the reason
                told.append(f"  | {line}\n", style="dim")
            if each.state == "failed":
                told.append(f"  {each.log}\n", style="dim")
    return told


def by_loss(standings: Sequence[Standing]) -> list[Standing]:
    """Returns trials with the lowest validation loss first; those without one come last, failed ones at the end."""
    return sorted(
        standings, key=lambda each: (math.inf if each.best is None else each.best[1], each.state == "failed", each.name)
    )


def best_of(standings: Sequence[Standing]) -> Standing | None:
    """Returns the trial with the lowest validation loss among those that ran to their end, else among all."""
    ordered = [each for each in by_loss(standings) if each.best is not None]
    return next((each for each in ordered if each.state == "done"), next(iter(ordered), None))


def loss_text(loss: float) -> str:
    """Returns a loss as it is printed."""
    return f"{loss:.4f}" if math.isfinite(loss) and abs(loss) < 1000 else f"{loss:.3g}"


def heading(folder: SweepFolder, standings: Sequence[Standing]) -> str:
    """Returns what stands above a table."""
    return f"{folder.path}: {counts(standings)}"


def counts(standings: Sequence[Standing]) -> str:
    """Returns how many trials stand where, in a line."""
    states = [each.state for each in standings]
    return ", ".join(f"{states.count(state)} {state}" for state in _COLOURS if state in states)
