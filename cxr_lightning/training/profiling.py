"""`--profile 20:22`: a trace of some steps, for Perfetto, a Chrome browser, or TensorBoard's profiler plugin."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console
from torch.profiler import ProfilerActivity, profile, schedule, tensorboard_trace_handler

from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped

log = logging.getLogger(__name__)

FOLDER = "profile"


class Profiling(pl.Callback):
    """Traces a window of steps on rank 0; ranks do alike, and each trace has tens of megabytes.

    Args:
        run: The run directory; traces lie in its folder `profile`.
        window: First and last step as `FIRST:LAST`, or one step; None traces nothing.

    Raises:
        ValueError: If the window is none.
    """

    def __init__(self, run: str, window: str | None) -> None:
        self.folder = Path(run) / FOLDER
        self.first, self.last = (0, 0) if window is None else _steps(window)
        self._profile: profile | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warns of a window that the run will not see."""
        if trainer.is_global_zero and self.last and not trainer.global_step < self.last <= self._end(trainer):
            log.warning(
                "--profile %d:%d: this run has steps %d to %d",
                self.first,
                self.last,
                trainer.global_step + 1,
                self._end(trainer),
            )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Starts a step early, for the tracer's own start; where the run begins with the window, at once."""
        begins = batch_idx % trainer.accumulate_grad_batches == 0 and trainer.is_global_zero
        step = trainer.global_step + 1
        if not begins or self._profile is not None or not self.first - 1 <= step <= self.last:
            return
        early = int(step < self.first)
        self._profile = profile(
            activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available(),
            schedule=schedule(wait=0, warmup=early, active=self.last - step + 1 - early, repeat=1),
            on_trace_ready=tensorboard_trace_handler(str(self.folder), f"rank{trainer.global_rank}", use_gzip=True),
            record_shapes=True,
        )
        self._profile.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Marks the end of a step, and writes the trace after the last."""
        if self._profile is None or not stepped(trainer, batch_idx):
            return
        self._profile.step()
        if trainer.global_step >= self.last or trainer.is_last_batch:
            self._finish()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stops tracing, or the next run of this process could not."""
        if self._profile is not None:
            self._profile.stop()
            self._profile = None

    @staticmethod
    def _end(trainer: Any) -> int:
        return int(trainer.datamodule.steps)

    def _finish(self) -> None:
        assert self._profile is not None
        self._profile.stop()
        self._profile = None
        self.last = 0
        Console(stderr=True).print(
            f"Traced: {self.folder}. Open a file of it in https://ui.perfetto.dev or chrome://tracing, "
            f"or `tensorboard --logdir {self.folder}` with the plugin torch-tb-profiler.",
            soft_wrap=True,
        )


def _steps(window: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", window)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(
            f"--profile {window}: no window of steps. Remedy: give the first and the last step to trace, as in "
            "--profile 20:22, counted from 1."
        )
    return first, last
