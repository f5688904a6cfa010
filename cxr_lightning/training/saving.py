"""When to save, and which checkpoints to keep."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from cxr_lightning.checkpoint.position import VALIDATE_LOSS, validation_loss
from cxr_lightning.checkpoint.runs import best_of, checkpoint_folder, checkpoints, retain, sweep
from cxr_lightning.checkpoint.writing import CheckpointNotWrittenError
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped
from cxr_lightning.training.validating import ValidateEvery

log = logging.getLogger(__name__)

_OWES = "owes_validation"
_PATIENCE = 60.0
"""Seconds that a failing run waits for the checkpoint that it was writing; a lost rank would never finish it."""


class SaveCheckpoints(Checkpoint):
    """Saves every n optimizer steps, after the last, and when the validation loss is the lowest so far.

    A checkpoint comes after everything that belongs to its step, the validation included: a run that goes on from it
    neither repeats nor misses one.

    Args:
        run: The run directory.
        validate: Says whether a validation follows.
        every_n_steps: Steps between saves.
        keep: How many of the newest to keep, beside the best. Older ones go only after the new one is complete.
        background: Write while training goes on. A run that is killed meanwhile goes on from the checkpoint before.
        max_failures: How many saves in a row may fail (a full disk) before the run ends. The last one may not fail.
    """

    def __init__(
        self,
        run: str,
        validate: ValidateEvery,
        every_n_steps: int = 500,
        keep: int = 2,
        background: bool = True,
        max_failures: int = 3,
    ) -> None:
        if min(every_n_steps, keep, max_failures) < 1:
            raise ValueError(
                f"checkpoint.every_n_steps={every_n_steps}, checkpoint.keep={keep} and checkpoint.max_failures="
                f"{max_failures} must be 1 or more."
            )
        self.run, self.validate = Path(run), validate
        self.every_n_steps, self.keep, self.background = every_n_steps, keep, background
        self.max_failures = max_failures
        self._loss: float | None = None
        self._owes = False
        self._best = math.inf
        self._failures = 0
        self._told: BaseException | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remembers the best checkpoint so far, should the run have been begun before."""
        strategy: Any = trainer.strategy
        strategy.save_in_background = self.background
        strategy.after_saving = lambda: retain(self.run, self.keep)
        if trainer.is_global_zero:
            sweep(self.run)
        self._failures, self._best = 0, self._best_there(trainer)
        if self._owes:
            self._owes = False
            self.validate.now(trainer)

    def save_now(self, trainer: pl.Trainer, *, owes_validation: bool) -> None:
        """Saves outside the plan, and returns when the checkpoint is there.

        Args:
            trainer: At the end of a step, or in its validation.
            owes_validation: Whether the step's validation is still to be done; a resumed run begins with it.
        """
        self._loss, self._owes = None, owes_validation
        self._save(trainer, must=True)
        strategy: Any = trainer.strategy
        strategy.finish_saving()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes the validation loss of the step, by which the best checkpoint is known, or that it is still to come."""
        checkpoint[VALIDATE_LOSS] = self._loss
        checkpoint[_OWES] = self._owes

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remembers a validation that an interrupted run still owes."""
        self._owes = bool(checkpoint.get(_OWES, False))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Saves at the end of a step, when all ranks stand at the same place; after its validation, if one is due."""
        self._tell(trainer)
        if stepped(trainer, batch_idx) and not self.validate.due(trainer, batch_idx) and self._due(trainer):
            self._loss = None
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves after a validation, if its step is to be saved or is the best."""
        if trainer.sanity_checking or trainer.global_step == 0:
            return
        self._owes = False
        loss = trainer.callback_metrics.get("validate/loss")
        self._loss = None if loss is None else float(loss)
        better = self._loss is not None and self._loss < self._best
        if better:
            self._best = float(self._loss or 0.0)
        if better or self._due(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Waits for the last checkpoint."""
        strategy: Any = trainer.strategy
        strategy.finish_saving()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Lets the checkpoint that is being written become complete, if its ranks are all there."""
        strategy: Any = trainer.strategy
        try:
            strategy.finish_saving(_PATIENCE)
        except OSError as error:  # told beside what stopped the run, not in its place
            if trainer.is_global_zero and error is not self._told:
                log.warning("%s", error)

    def _due(self, trainer: pl.Trainer) -> bool:
        step: int = trainer.global_step
        return step >= trainer.datamodule.steps or trainer.should_stop or step % self.every_n_steps == 0

    def _save(self, trainer: pl.Trainer, *, must: bool = False) -> None:
        """Saves; that it failed is borne for a while, if there will be another save."""
        strategy: Any = trainer.strategy
        last = must or trainer.global_step >= trainer.datamodule.steps or trainer.should_stop
        if strategy.saving:  # the one before, in the background
            self._attempt(trainer, strategy.finish_saving)
        self._attempt(
            trainer, lambda: trainer.save_checkpoint(checkpoint_folder(self.run, trainer.global_step)), must=last
        )

    def _attempt(self, trainer: pl.Trainer, save: Callable[[], None], *, must: bool = False) -> None:
        strategy: Any = trainer.strategy
        finishes = strategy.saving or not self.background
        try:
            save()
        except CheckpointNotWrittenError as error:  # on all ranks
            self._failures += 1
            if must:
                raise
            if self._failures >= self.max_failures:
                more = f"{self._failures} saves in a row failed, and --checkpoint.max_failures is {self.max_failures}."
                raise CheckpointNotWrittenError(f"{error} {more}") from None
            self._tell(trainer, error)
            self._best = self._best_there(trainer)
        else:
            self._failures = 0 if finishes else self._failures

    def _tell(self, trainer: pl.Trainer, error: BaseException | None = None) -> None:
        """Says that a save failed: once, and as soon as it is known."""
        strategy: Any = trainer.strategy
        failure = error or strategy.saving_failed
        if failure is not None and failure is not self._told and trainer.is_global_zero:
            log.warning(
                "%s The run goes on and tries again at the next save; it ends when %d in a row have failed.",
                failure, self.max_failures,
            )  # fmt: skip
        self._told = failure

    def _best_there(self, trainer: pl.Trainer) -> float:
        """Returns the lowest validation loss of the run's checkpoints, as rank 0 sees them."""
        best = best_of(checkpoints(self.run))
        return trainer.strategy.broadcast(math.inf if best is None else validation_loss(best))
