"""A pause: the run ends at a step as after its last, validated and saved, and goes on later as if it had never stopped.

Not a shorter run: its number of steps, and with it the learning rate's schedule, stay those of the whole training. A
sweep that stops hopeless runs early compares them at such pauses.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped


class Pausing(pl.Callback):
    """Ends a run at a step. `ValidateEvery` and `SaveCheckpoints` come after it, and find that the run is to stop.

    Args:
        step: The step after which it pauses; None trains to the end.
    """

    def __init__(self, step: int | None) -> None:
        if step is not None and step < 1:
            raise ValueError(f"--pause_after_step {step}: must be 1 or more")
        self.step = step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Makes no step where the run has come that far already."""
        self._stop(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Stops at the end of the step; Lightning validates before it does."""
        if stepped(trainer, batch_idx):
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says so."""
        if trainer.is_global_zero and trainer.global_step < trainer.datamodule.steps:
            told = f"{outcome(trainer).capitalize()}. The same command with --ckpt_path auto goes on once the pause is"
            Console(stderr=True).print(f"{told} left out or set later.", soft_wrap=True)

    def _stop(self, trainer: pl.Trainer) -> None:
        if self.step is not None and self.step <= trainer.global_step < trainer.datamodule.steps:
            trainer.should_stop = True


def outcome(trainer: pl.Trainer) -> str:
    """Returns how a training ended that was not asked to leave."""
    step, steps = trainer.global_step, trainer.datamodule.steps
    return "done" if step >= steps else f"paused after step {step} of {steps}"
