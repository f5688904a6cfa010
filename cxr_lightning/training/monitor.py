"""What a person watches: loss, learning rate, gradient norm, speed, use of the device, memory, waiting, time left.

Figures are sums over a logging window and over all ranks, so they are exact and cost two small collectives a window.
They go to TensorBoard, to `metrics.jsonl` beside it, and the essential ones to the progress bar.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from cxr_lightning.model.flops import ModelFlops, model_flops
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped
from cxr_lightning.training.curve import Journal, rewind
from cxr_lightning.training.memory import memory
from cxr_lightning.training.peak import peak_flops
from cxr_lightning.training.window import LossSums, Window, set_names

if TYPE_CHECKING:
    from cxr_lightning.training.quarantine import Quarantine

log = logging.getLogger(__name__)

_STATE, _BEST = "window", "best_validation_loss"


class Monitor(pl.Callback):
    """Logs training figures every `trainer.log_every_n_steps` steps, and validation figures as they come.

    Args:
        run: The run directory.
        quarantine: What is told when bad samples were left out.
    """

    def __init__(self, run: str, quarantine: Quarantine | None = None) -> None:
        self.quarantine = quarantine
        self.file = Path(run) / "metrics.jsonl"
        self._journal = Journal(self.file)
        self.window = Window()
        self.shown: dict[str, float] = {}
        """What stands beside the progress bar."""
        self.more: dict[str, float] = {}
        """What others have logged with the training figures."""
        self.scores: dict[str, float] = {}
        """What others have logged with the next validation's figures."""
        self._waited_before = self._supervised_before = 0.0
        self._rates: dict[str, float] = {}
        self._logged_at = self._paused_at = time.perf_counter()
        self._before = Window()
        """What an earlier process counted of the window that is open, over all its ranks."""
        self._best = math.inf
        self._sets: list[str] = []
        self._flops: ModelFlops | None = None
        self._peak: float | None = None
        self._ends: float | None = None

    def time_left(self) -> float | None:
        """Returns the seconds until the last step, by the pace so far, validations included."""
        return None if self._ends is None else max(self._ends - time.perf_counter(), 0.0)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the window that is open, so that the next logged figures are over all of it."""
        self._journal.add()
        counted = self._before.plus(self._losses.read(self.window).over_ranks(pl_module.device))
        checkpoint[_STATE] = {**asdict(counted), "waited": 0.0}
        checkpoint[_BEST] = None if self._best == math.inf else self._best

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Goes on with the window."""
        self._before = Window.from_json(checkpoint.get(_STATE, {}))
        best = checkpoint.get(_BEST)
        self._best = math.inf if best is None else float(best)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drops lines past the step from which a resumed run goes on, so that the curve has each step once.

        Raises:
            MetricsError: If a line other than the last is no record of a step.
        """
        if trainer.is_global_zero:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            rewind(self.file, trainer.global_step)
        data: Any = getattr(trainer, "datamodule", None)
        self._sets = [] if data is None else set_names([each.path for each in data.sets.sets])
        self._losses = LossSums(len(self._sets), pl_module.device)
        self._validation = LossSums(len(self._sets), pl_module.device)
        self._flops, self._peak = _flops(pl_module), _peak(trainer, pl_module)
        self._steps = trainer.max_steps if data is None else data.steps
        self._first = trainer.global_step
        self._began = self._logged_at = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Counts what the batch holds, and remembers the rates: after the step they are already the next one's."""
        self.window.count(batch)
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._losses.mark()
            self._supervised_before = self.window.supervised
            self.window.supervised += batch["supervised_in_step"]
            if self._logs(trainer, trainer.global_step + 1):
                self._rates = rates(trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Logs at the end of every n-th optimizer step, and of the last; a skipped step has no loss."""
        self._losses.add(outputs, batch)
        if stepped(trainer, batch_idx) and getattr(trainer.strategy, "skipped", False):
            self._losses.back()
            self.window.supervised = self._supervised_before
        if stepped(trainer, batch_idx) and (trainer.is_last_batch or self._logs(trainer, trainer.global_step)):
            self._log(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the time of validation out of the training figures."""
        self._paused_at = time.perf_counter()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Tells the losses of several sets apart."""
        if len(self._sets) > 1 and outputs is not None and not trainer.sanity_checking:
            self._validation.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the validation figures beside those of training."""
        self._logged_at += time.perf_counter() - self._paused_at
        if trainer.sanity_checking or "validate/loss" not in trainer.callback_metrics:
            return
        loss = float(trainer.callback_metrics["validate/loss"])
        self._best = min(self._best, loss)
        metrics = {"validate/loss": loss, "validate/best_loss": self._best}
        if len(self._sets) > 1:
            total = self._validation.read(Window()).over_ranks(pl_module.device)
            self._validation.clear()
            metrics |= self._by_set("validate", total)
        skipped = self.quarantine.collect(trainer, pl_module) if self.quarantine else 0
        metrics |= {"validate/skipped": float(skipped)} if skipped else {}
        metrics, self.scores = metrics | self.scores, {}
        self._write(trainer, metrics)

    def _logs(self, trainer: pl.Trainer, step: int) -> bool:
        return bool(step % trainer.log_every_n_steps == 0 or step >= self._steps)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        mine = self._losses.read(self.window)  # first: what the device still has to do belongs to the window's time
        now, waited = time.perf_counter(), trainer.train_dataloader.waited
        mine.waited, self._waited_before = waited - self._waited_before, waited
        seconds, total = now - self._logged_at, mine.over_ranks(pl_module.device)
        self.window, self._logged_at = Window(), now
        self._losses.clear()
        metrics = figures(total, seconds, trainer.world_size, self._before)
        metrics |= self._by_set("train", self._before.plus(total)) | self._rates | self._use(total, seconds)
        self._before = Window()
        norm = trainer.strategy.grad_norm() if hasattr(trainer.strategy, "grad_norm") else None
        metrics |= {} if norm is None or not math.isfinite(norm) else {"train/grad_norm": norm}
        metrics |= memory(pl_module.device) | self.more
        pace = (now - self._began) / max(trainer.global_step - self._first, 1)
        metrics["time/left_s"] = pace * (self._steps - trainer.global_step)
        self._ends = now + metrics["time/left_s"]
        self._write(trainer, metrics)
        if self.quarantine and total.skipped:
            self.quarantine.exchange(trainer)
        shown = {
            "loss": "train/loss",
            "samples/s": "speed/samples_per_s",
            "wait": "data/wait_share",
            "mfu": "speed/mfu",
        }
        self.shown |= {name: metrics[key] for name, key in shown.items() if key in metrics}

    def _by_set(self, split: str, total: Window) -> dict[str, float]:
        """Returns the mean loss of each set of which there was something."""
        sums = zip(self._sets, total.loss_sum_K, total.supervised_K, strict=False)
        return {f"{split}/loss/{name}": loss / tokens for name, loss, tokens in sums if tokens}

    def _use(self, total: Window, seconds: float) -> dict[str, float]:
        """Returns what the model's work of a window came to, and its share of what the devices could do at most."""
        if self._flops is None:
            return {}
        rate = self._flops.of(total.work()) / seconds
        return {"speed/tflops": rate / 1e12} | ({} if self._peak is None else {"speed/mfu": rate / self._peak})

    def _write(self, trainer: pl.Trainer, metrics: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)
        if trainer.is_global_zero:
            self._journal.add(json.dumps({"step": trainer.global_step, **metrics}))


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
    losses = {"train/loss": counted.loss_sum / counted.supervised} if counted.supervised else {}
    return losses | {
        "speed/samples_per_s": total.samples / seconds,
        "speed/supervised_tokens_per_s": total.supervised / seconds,
        "speed/tokens_per_s": total.tokens / seconds,
        "data/padding_share": 1 - counted.tokens / max(counted.positions, 1),
        "data/wait_share": total.waited / ranks / seconds,
        "data/truncated": counted.truncated,
        "data/skipped": counted.skipped,
    }


def rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the learning rate, and where groups have highest rates of their own, that of each.

    Groups are named "role/kind"; the kinds of a role that share a rate are told once.

    Args:
        groups: The optimizer's parameter groups.
    """
    metrics = {"train/lr": float(groups[0]["lr"])}
    highest = {str(group.get("name", n)): float(group.get("initial_lr", group["lr"])) for n, group in enumerate(groups)}
    if len(set(highest.values())) == 1:
        return metrics
    for (name, _), group in zip(highest.items(), groups, strict=True):
        role = name.split("/")[0]
        alike = len({rate for other, rate in highest.items() if other.split("/")[0] == role}) == 1
        metrics[f"train/lr/{role if alike else name}"] = float(group["lr"])
    return metrics


def _flops(pl_module: Any) -> ModelFlops | None:
    """Returns what the model's work costs; None, with a warning, where that is not known: no reason to stop a run."""
    if getattr(pl_module, "family", None) is None:
        return None
    try:
        return model_flops(pl_module.model, pl_module.family)
    except Exception as error:
        log.warning("speed/mfu is not logged: the cost of this model's steps is not known (%r)", error)
        return None


def _peak(trainer: pl.Trainer, pl_module: pl.LightningModule) -> float | None:
    """Returns the most that all ranks' devices can do together."""
    peak = peak_flops(pl_module.device, str(trainer.precision))
    total = torch.tensor(math.nan if peak is None else peak, dtype=torch.float64, device=pl_module.device)
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return None if math.isnan(float(total)) else float(total)
