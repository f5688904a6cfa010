"""Steps whose loss or gradient is not finite: skipped on every rank alike, counted, their samples named, and bounded.

The gradient's norm is over all ranks, so all know without asking whether a step counts (`ZeroStrategy.skipped`). A
skipped step leaves weights and optimizer state as they were, to the bit; stream and learning rate go on. Only then do
the ranks tell one another whose loss it was.
"""

# Shapes: S supervised tokens of a micro-batch, sample after sample.

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped
from cxr_lightning.training.curve import Journal, rewind
from cxr_lightning.training.monitor import Monitor

log = logging.getLogger(__name__)

NAME = "nonfinite.jsonl"
_STATE = "nonfinite"
_LISTED = 8


class NonfiniteError(ValueError):
    """A loss or gradient is not finite, more often than `--nonfinite.*` allows."""


class Micro(NamedTuple):
    """One rank's micro-batch of a skipped step.

    Attributes:
        rank: The rank.
        keys: Its samples.
        bad: Those of them whose own loss is not finite.
        finite: Whether the loss of all of them is.
    """

    rank: int
    keys: list[str]
    bad: list[str]
    finite: bool


class Nonfinite(pl.Callback):
    """Counts, names and bounds what was skipped.

    Args:
        run: The run directory; RUN/nonfinite.jsonl gets a line a skipped step.
        monitor: Logs how many there were.
        then: What to do when a loss or gradient is not finite: `skip` the step, or `stop` the run.
        in_a_row: Most steps in a row that may be skipped; more are a run that has left, not a bad sample.
        in_all: Most steps of the whole run that may be skipped.
    """

    def __init__(
        self,
        run: str,
        monitor: Monitor,
        then: Literal["skip", "stop"] = "skip",
        in_a_row: int = 5,
        in_all: int = 100,
    ) -> None:
        if in_a_row < 0 or in_all < 0:
            raise ValueError(f"--nonfinite.in_a_row {in_a_row}, --nonfinite.in_all {in_all}: must be 0 or more")
        self.file, self.monitor = Path(run) / NAME, monitor
        self._journal = Journal(self.file)
        self.most_in_a_row, self.most_in_all = (0, 0) if then == "stop" else (in_a_row, in_all)
        self.in_a_row = self.in_all = 0
        self._step: list[tuple[list[str], list[int], Any]] = []

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the counts: the bounds hold over resumes."""
        checkpoint[_STATE] = {"in_a_row": self.in_a_row, "in_all": self.in_all}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Goes on counting."""
        state = checkpoint.get(_STATE, {})
        self.in_a_row, self.in_all = int(state.get("in_a_row", 0)), int(state.get("in_all", 0))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drops lines past the step from which a resumed run goes on: those steps are made again."""
        self._step = []
        self._log()
        if trainer.is_global_zero and self.file.exists():
            rewind(self.file, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Looks at the end of a step whether it counted.

        Raises:
            NonfiniteError: If too many have not by now; on all ranks.
        """
        self._step.append((batch["keys"], batch["supervised"], outputs))
        if not stepped(trainer, batch_idx):
            return
        made, self._step = self._step, []
        if not getattr(trainer.strategy, "skipped", False):
            self.in_a_row = 0
            return
        mine = [_micro(trainer.global_rank, *each) for each in made]
        everyones = list(chain.from_iterable(gather(mine)))
        if str(trainer.precision).startswith("16") and all(each.finite for each in everyones):
            return  # float16 looks for its loss scale by trying: such steps are its way, and not a fault
        self.in_a_row, self.in_all = self.in_a_row + 1, self.in_all + 1
        self._log()
        self._tell(trainer, everyones)
        self._require_few(trainer, everyones)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says how many there were."""
        if self.in_all and trainer.is_global_zero:
            Console(stderr=True).print(
                f"{self.in_all} of {trainer.global_step} steps were skipped, because a loss or gradient was not "
                f"finite; {self.file} names their samples.",
                soft_wrap=True,
            )

    def _log(self) -> None:
        self.monitor.more |= {"train/skipped_steps": float(self.in_all)} if self.in_all else {}

    def _tell(self, trainer: pl.Trainer, everyones: list[Micro]) -> None:
        if not trainer.is_global_zero:
            return
        culprits = sorted({each.rank for each in everyones if not each.finite})
        keys = sorted(each for micro in everyones for each in micro.keys)
        bad = sorted(each for micro in everyones for each in micro.bad)
        line = {"step": trainer.global_step, "ranks": culprits, "bad": bad, "keys": keys}
        self._journal.add(json.dumps(line))
        log.warning("step %d skipped: %s", trainer.global_step, _why(everyones))

    def _require_few(self, trainer: pl.Trainer, everyones: list[Micro]) -> None:
        if self.in_a_row <= self.most_in_a_row and self.in_all <= self.most_in_all:
            return
        bound = (
            f"--nonfinite.in_a_row allows {self.most_in_a_row}, --nonfinite.in_all {self.most_in_all}"
            if self.most_in_a_row or self.most_in_all
            else "none may be skipped (--nonfinite.then)"
        )
        raise NonfiniteError(
            f"Step {trainer.global_step}: {_why(everyones)}. That makes {self.in_a_row} in a row and {self.in_all} in "
            f"all; {bound}. Nothing of such steps is in the weights. {self.file} names their samples. Remedy: "
            "where the same samples return, mend or drop them; where many do, go on from an earlier checkpoint under "
            "another --run with a lower --model.optim.lr, or in --trainer.precision bf16-true instead of float16."
        )


def _micro(rank: int, keys: list[str], supervised: list[int], outputs: Any) -> Micro:
    """Reads a micro-batch's losses; this waits for the device, which a skipped step can afford."""
    each_S = outputs["each_S"].float().cpu()
    sums = [float(part.sum()) for part in torch.split(each_S, supervised)] if len(each_S) == sum(supervised) else []
    bad = [key for key, loss in zip(keys, sums, strict=False) if not math.isfinite(loss)]
    return Micro(rank, keys, bad, math.isfinite(float(outputs["loss_sum"])))


def _why(everyones: list[Micro]) -> str:
    culprits = sorted({each.rank for each in everyones if not each.finite})
    if not culprits:
        return "the gradient is not finite, though all losses are"
    names = list(_bad_keys(everyones))
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    ranks = ", ".join(map(str, culprits[:_LISTED])) + (" and others" if len(culprits) > _LISTED else "")
    return f"the loss is not finite on rank {ranks}" + (f" (samples {listed})" if listed else "")


def _bad_keys(everyones: list[Micro]) -> Iterator[str]:
    return chain.from_iterable(each.bad for each in everyones)
