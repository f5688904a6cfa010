"""When to save, and which checkpoints to keep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from cxr_lightning.checkpoint.runs import checkpoint_folder, checkpoints
from cxr_lightning.stream.rows import Batch


class SaveCheckpoints(Checkpoint):
    """Saves every n optimizer steps and after the last, and keeps the newest few.

    Args:
        run: The run directory.
        every_n_steps: Steps between saves.
        keep: How many to keep. The older ones go only after the new one is complete.
    """

    def __init__(self, run: str, every_n_steps: int = 500, keep: int = 2) -> None:
        if every_n_steps < 1 or keep < 1:
            raise ValueError(f"checkpoint.every_n_steps={every_n_steps} and checkpoint.keep={keep} must be 1 or more.")
        self.run, self.every_n_steps, self.keep = Path(run), every_n_steps, keep

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leaves the end open: Lightning would note that this was the last batch, and never go on to further epochs."""
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Saves at the end of a step, when all ranks stand at the same place."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        last = trainer.global_step >= trainer.datamodule.steps
        if last or trainer.global_step % self.every_n_steps == 0:
            trainer.save_checkpoint(checkpoint_folder(self.run, trainer.global_step))
            if trainer.is_global_zero:
                for old in checkpoints(self.run)[: -self.keep]:
                    shutil.rmtree(old)
