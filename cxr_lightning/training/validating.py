"""When to validate: every n optimizer steps, and after the last."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as pl

from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped

NEVER = sys.maxsize


class ValidateEvery(pl.Callback):
    """Tells Lightning after which batch to validate.

    Lightning's own `val_check_interval` counts micro-batches and knows no last step; a resumed run would also repeat or
    miss a validation, by what the checkpoint says of it. Here it follows from the step.

    Args:
        steps: Optimizer steps between validations.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"--validate_every_n_steps {steps}: must be 1 or more")
        self.steps = steps

    def due(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Returns whether a validation follows the batch that just ended."""
        last = trainer.global_step >= trainer.datamodule.steps or trainer.should_stop
        possible = trainer.datamodule.validates and trainer.enable_validation  # which is True of an empty list as well
        return bool(possible and stepped(trainer, batch_idx) and (last or trainer.global_step % self.steps == 0))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning looks at `val_check_batch` right after this hook: every batch, or none."""
        trainer.val_check_batch = 1 if self.due(trainer, batch_idx) else NEVER

    def now(self, trainer: pl.Trainer) -> None:
        """Validates before the first step: what a run that was interrupted in a validation begins with."""
        loop: Any = trainer.fit_loop.epoch_loop.val_loop
        loop.restarting = False
        trainer.validating = True  # as Lightning does around its own call
        loop.run()
        trainer.training = True
