"""What came of a sweep: a table, a picture, the best configuration ready to run, and all of it for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console

from cxr_lightning.cluster.sweeps.folder import SweepFolder, write_text
from cxr_lightning.cluster.sweeps.plot import draw
from cxr_lightning.cluster.sweeps.standing import Standing
from cxr_lightning.cluster.sweeps.table import best_of, by_loss, counts, failures, heading, loss_text, standing_table


def write_report(folder: SweepFolder, told: dict[str, Any], standings: Sequence[Standing], console: Console) -> None:
    """Prints the report, and leaves it in the sweep's folder.

    Args:
        folder: The sweep's.
        told: Its record.
        standings: Where its trials stand.
        console: Where to print.
    """
    ordered = by_loss(standings)
    winner = best_of(standings)
    written = [folder.path / "report.json"]
    if any(each.curve for each in ordered):
        written.append(folder.path / "report.png")
        draw(ordered, told["sweep"], written[-1], f"{folder.path.name}: {counts(ordered)}")
    if winner is not None:
        written.append(folder.path / "best.yaml")
        write_text(written[-1], best_config(folder, winner))
    write_text(written[0], json.dumps(as_json(told, ordered, winner), indent=2) + "\n")
    console.print(heading(folder, ordered), soft_wrap=True)
    console.print(standing_table(ordered))
    console.print(failures(ordered), soft_wrap=True, end="")
    if winner is not None and winner.best is not None:
        unfinished = "" if winner.state == "done" else f" so far ({winner.state})"
        console.print(
            f"Best{unfinished}: {winner.name}, validation loss {loss_text(winner.best[1])} at step {winner.best[0]}.",
            soft_wrap=True,
        )
    names = ", ".join(file.name for file in written)
    console.print(f"Written: {names}. All curves: tensorboard --logdir {folder.path}", soft_wrap=True)


def best_config(folder: SweepFolder, winner: Standing) -> str:
    """Returns the configuration of the best trial, with the command that runs it before."""
    config = yaml.safe_load(folder.config(winner.name).read_text())
    for key in ("run", "ckpt_path", "pause_after_step"):
        config.pop(key, None)
    assert winner.best is not None
    step, loss = winner.best
    head = (
        f"# The best of {folder.path}: {winner.name}, validation loss {loss_text(loss)} at step {step}.\n"
        f"#\n#   cxr fit --config {folder.path / 'best.yaml'} --run runs/{folder.path.name}-best\n"
    )
    return head + yaml.safe_dump(config, sort_keys=False, width=120)


def as_json(told: dict[str, Any], ordered: Sequence[Standing], winner: Standing | None) -> dict[str, Any]:
    """Returns the report as plain data; a loss that is no number is null."""
    return {
        "schema": 1,
        "parameters": told["sweep"]["parameters"],
        "halving": told["sweep"]["halving"],
        "best": None if winner is None else winner.name,
        "trials": [
            {
                "name": each.name,
                "values": each.trial.values,
                "state": each.state,
                "reason": each.reason,
                "log_tail": list(each.tail),
                "best_loss": None if each.best is None else each.best[1],
                "best_step": None if each.best is None else each.best[0],
                "curve": [[step, loss if math.isfinite(loss) else None] for step, loss in each.curve],
                "step": each.step,
                "steps": each.steps,
                "starts": each.attempts,
                "job": each.job,
                "log": each.log,
            }
            for each in ordered
        ],
    }
