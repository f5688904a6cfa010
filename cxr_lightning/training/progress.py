"""The progress bar: step, rate, time left, and the three figures worth watching."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Lightning's bar without the logger's version number, which says nothing here."""

    def _get_train_description(self, current_epoch: int) -> str:
        """Returns what stands before the bar; Lightning's epoch says nothing, for the stream counts passes."""
        return "Training".ljust(len(self.validation_description))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Returns the figures beside the bar, short enough to read at a glance."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in metrics.items()}
