"""Holds the run directory while a run trains: taken before anything is written there, given free at the end."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cxr_lightning.checkpoint.runs import RunError, newest_checkpoint
from cxr_lightning.training.job import Job
from cxr_lightning.training.lease import Lease, RunLockedError


class Holding(pl.Callback):
    """Rank 0 takes the directory for all, and all go on or none.

    Args:
        run: The run directory.
    """

    def __init__(self, run: str) -> None:
        self.run = Path(run)
        self.lease: Lease | None = None

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Takes the directory.

        Raises:
            RunLockedError: If another run has it.
            RunError: If another run went on there since this one looked for a checkpoint.
        """
        told: tuple[bool, str] = (False, "")
        if trainer.is_global_zero:
            try:
                self.lease = Lease(self.run, Job.here())
                atexit.register(self.release)
                self._require_unchanged(pl_module.resume_from)
            except (RunLockedError, RunError, OSError) as error:
                told = (isinstance(error, RunLockedError), str(error))
        locked, failure = trainer.strategy.broadcast(told)
        if failure:
            raise RunLockedError(failure) if locked else RunError(failure)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives it free."""
        self.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Gives it free; while a checkpoint is still being written, only at the end of the process."""
        if not getattr(trainer.strategy, "writing", False):
            self.release()

    def release(self) -> None:
        """Gives the directory free, if it was taken."""
        lease, self.lease = self.lease, None
        if lease is not None:
            atexit.unregister(self.release)
            lease.release()

    def _require_unchanged(self, chosen: Path | None) -> None:
        """Compares with what was there before the directory was taken: the run that had it may have gone on."""
        newest = newest_checkpoint(self.run)
        if newest is not None and (chosen is None or newest.resolve() != chosen.resolve()):
            before = "there was none" if chosen is None else f"it was {chosen.name}"
            raise RunError(
                f"While this run waited for {self.run}, the one that had it went on: its newest checkpoint is "
                f"{newest.name}, and {before}. Remedy: start again."
            )
