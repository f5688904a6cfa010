"""What a person watches: loss, learning rate, gradient norm, speed, padding, time waiting for data.

Figures are sums over a logging window and over all ranks, so they are exact and cost one small collective a window.
They go to TensorBoard, to `metrics.jsonl` beside it, and the essential ones to the progress bar.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped

if TYPE_CHECKING:
    from cxr_lightning.training.quarantine import Quarantine

log = logging.getLogger(__name__)

_STATE = "window"


class MetricsError(ValueError):
    """A line of a run's metrics.jsonl, other than its last, is no record of a step."""


@dataclass
class Window:
    """Sums since the last logged step, of one rank.

    Attributes:
        loss_sum: Negative log likelihood.
        supervised: Tokens it was summed over.
        tokens: Real tokens.
        positions: Positions computed, padding included.
        samples: Samples.
        truncated: Samples whose answer was cut.
        skipped: Bad samples that were left out.
        waited: Seconds spent waiting for data.
    """

    loss_sum: float = 0.0
    supervised: float = 0.0
    tokens: float = 0.0
    positions: float = 0.0
    samples: float = 0.0
    truncated: float = 0.0
    skipped: float = 0.0
    waited: float = 0.0

    def plus(self, other: Window) -> Window:
        """Returns the sums of two windows."""
        theirs = asdict(other)
        return Window(**{name: value + theirs[name] for name, value in asdict(self).items()})

    def over_ranks(self, device: torch.device) -> Window:
        """Returns the sums over all ranks."""
        values = torch.tensor(list(asdict(self).values()), dtype=torch.float64, device=device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(values)
        return Window(**dict(zip((field.name for field in fields(self)), values.tolist(), strict=True)))


class Monitor(pl.Callback):
    """Logs training figures every `trainer.log_every_n_steps` steps, and validation figures as they come.

    Args:
        run: The run directory.
        quarantine: What is told when bad samples were left out.
    """

    def __init__(self, run: str, quarantine: Quarantine | None = None) -> None:
        self.quarantine = quarantine
        self.file = Path(run) / "metrics.jsonl"
        self.window = Window()
        self._waited_before = 0.0
        self._rate = 0.0
        self._logged_at = time.perf_counter()
        self._before = Window()
        """What an earlier process counted of the window that is open, over all its ranks."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the window that is open, so that the next logged figures are over all of it."""
        counted = self._before.plus(self.window.over_ranks(pl_module.device))
        checkpoint[_STATE] = {**asdict(counted), "waited": 0.0}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Goes on with the window."""
        self._before = Window(**checkpoint.get(_STATE, {}))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drops lines past the step from which a resumed run goes on, so that the curve has each step once.

        Raises:
            MetricsError: If a line other than the last is no record of a step.
        """
        if trainer.is_global_zero:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            rewind(self.file, trainer.global_step)
        self._logged_at = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Counts what the batch holds, and remembers the rate: after the step it is already the next one's."""
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.window.tokens += batch["tokens"]
        self.window.positions += batch["positions"]
        self.window.samples += batch["samples"]
        self.window.truncated += batch["truncated"]
        self.window.skipped += len(batch.get("skipped", []))
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.window.supervised += batch["supervised_in_step"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Logs at the end of every n-th optimizer step, and of the last."""
        self.window.loss_sum += float(outputs["loss_sum"])
        if stepped(trainer, batch_idx) and (
            trainer.is_last_batch or trainer.global_step % trainer.log_every_n_steps == 0
        ):
            self._log(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the time of validation out of the training figures."""
        self._paused_at = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the validation loss beside the training figures."""
        self._logged_at += time.perf_counter() - self._paused_at
        if trainer.sanity_checking or "validate/loss" not in trainer.callback_metrics:
            return
        metrics = {"validate/loss": float(trainer.callback_metrics["validate/loss"])}
        skipped = self.quarantine.collect(trainer, pl_module) if self.quarantine else 0
        self._write(trainer, metrics | ({"validate/skipped": float(skipped)} if skipped else {}))

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now, waited = time.perf_counter(), trainer.train_dataloader.waited
        self.window.waited, self._waited_before = waited - self._waited_before, waited
        seconds, total = now - self._logged_at, self.window.over_ranks(pl_module.device)
        self.window, self._logged_at = Window(), now
        metrics = figures(total, seconds, trainer.world_size, self._before)
        self._before = Window()
        metrics["train/lr"] = self._rate
        norm = trainer.strategy.grad_norm() if hasattr(trainer.strategy, "grad_norm") else None
        if norm is not None:
            metrics["train/grad_norm"] = norm
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)
        self._write(trainer, metrics)
        if self.quarantine and total.skipped:
            self.quarantine.exchange(trainer)
        shown = {"loss": "train/loss", "samples/s": "speed/samples_per_s", "wait": "data/wait_share"}
        pl_module.log_dict({name: metrics[key] for name, key in shown.items()}, prog_bar=True, logger=False)

    def _write(self, trainer: pl.Trainer, metrics: dict[str, float]) -> None:
        if trainer.is_global_zero:
            with self.file.open("a") as file:
                file.write(json.dumps({"step": trainer.global_step, **metrics}) + "\n")


def figures(total: Window, seconds: float, ranks: int, before: Window | None = None) -> dict[str, float]:
    """Returns the logged figures of a window.

    Args:
        total: Sums over all ranks.
        seconds: Wall time of the window.
        ranks: Number of ranks, among which the waiting is averaged.
        before: What was counted of the window before the run was stopped and went on: it belongs to the loss and to the
            counts, and not to the speed.
    """
    counted = total if before is None else before.plus(total)
    return {
        "train/loss": counted.loss_sum / max(counted.supervised, 1),
        "speed/samples_per_s": total.samples / seconds,
        "speed/supervised_tokens_per_s": total.supervised / seconds,
        "speed/tokens_per_s": total.tokens / seconds,
        "data/padding_share": 1 - counted.tokens / max(counted.positions, 1),
        "data/wait_share": total.waited / ranks / seconds,
        "data/truncated": counted.truncated,
        "data/skipped": counted.skipped,
    }


def rewind(file: Path, step: int) -> None:
    """Drops the lines past a step, whole or not at all; see `kept_lines`."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.partial")
    aside.write_text("".join(f"{line}\n" for line in kept_lines(file, step)))
    aside.replace(file)


def kept_lines(file: Path, step: int) -> list[str]:
    """Returns the lines of a metrics.jsonl that a run keeps when it goes on.

    A kill or a full disk leaves the last line half-written; it is dropped, for its step is trained again.

    Args:
        file: The metrics.jsonl; need not exist.
        step: The step from which the run goes on.

    Raises:
        MetricsError: If a line other than the last is no record of a step.
    """
    if not file.exists():
        return []
    lines = [(n, line) for n, line in enumerate(file.read_text(errors="replace").split("\n"), start=1) if line.strip()]
    kept = []
    for number, line in lines:
        try:
            at = int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError):
            if number == lines[-1][0]:
                log.warning("%s: line %d was cut off and is dropped", file, number)
                continue
            raise MetricsError(
                f"{file}, line {number}: not a record of a step, as `cxr fit` writes them. "
                "Remedy: delete that line (or move the file away, to begin the curve anew), then go on."
            ) from None
        if at <= step:
            kept.append(line)
    return kept
