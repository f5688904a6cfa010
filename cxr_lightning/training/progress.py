"""The progress bar: steps, time left, and the few figures worth watching."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped
from cxr_lightning.training.monitor import Monitor


class Progress(RichProgressBar):
    """Lightning's bar, in optimizer steps where that counts micro-batches, and without the logger's version number.

    Args:
        monitor: Knows the figures and the time left.
    """

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self.monitor = monitor

    @property
    def total_train_batches(self) -> int:
        """The steps of the whole training."""
        return int(self.trainer.datamodule.steps)

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Returns Lightning's columns with a clock that knows of validations, and without batches a second."""
        description, bar, steps, *_ = super().configure_columns(trainer)
        return [description, bar, steps, _Clock(self)]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins where the run stands."""
        super().on_train_epoch_start(trainer, pl_module)
        self._update(self.train_progress_bar_id, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Moves on after a step."""
        if stepped(trainer, batch_idx):
            if self.train_progress_bar_id is None and not self.is_disabled:  # a resumed epoch does not start again
                self._initialize_train_progress_bar_id()
            self._update(self.train_progress_bar_id, trainer.global_step)
            if trainer.global_step % trainer.log_every_n_steps == 0:
                self._update_metrics(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        """Returns what stands before the bar; Lightning's epoch says nothing, for the stream counts passes."""
        return "Training".ljust(len(self.validation_description))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Returns the figures beside the bar, short enough to read at a glance."""
        metrics = self.monitor.shown | super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in metrics.items()}


class _Clock(ProgressColumn):
    """Time gone by, and time left: of training by the monitor, which counts validations in."""

    max_refresh = 0.5

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        super().__init__(table_column=Column(no_wrap=True, min_width=22))

    def render(self, task: Task) -> Text:
        training = task.id == self.bar.train_progress_bar_id
        left = self.bar.monitor.time_left() if training else task.time_remaining
        return Text(f"{_clock(task.elapsed)} • {_clock(left)} left", style=self.bar.theme.time)


def _clock(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))
