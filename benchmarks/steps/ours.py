"""Trains as `cxr fit` does: the stage's module, the stream and ZeRO-2 under Lightning's trainer, on one CPU rank."""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightning.pytorch as pl

sys.path.insert(0, str(Path(__file__).parent))
from asked import parser
from clock import Clock

from cxr_lightning.training.fit import open_cli

CONFIGS = Path(__file__).parents[2] / "configs"


class Times(pl.Callback):
    """Tells the clock of each step, and keeps which samples it saw.

    Args:
        clock: What counts.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.keys: list[list[str]] = []
        self.loss, self.seen = 0.0, list[str]()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The model is loaded."""
        self.clock.begin(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *ended: Any) -> None:
        """Closes a step with its last micro-batch."""
        outputs, batch, number = ended
        self.loss += float(outputs["loss_sum"]) / max(1, batch["supervised_in_step"])
        self.seen += batch["keys"]
        if (number + 1) % trainer.accumulate_grad_batches == 0:
            self.clock.step(self.loss)
            self.keys.append(self.seen)
            self.loss, self.seen = 0.0, []


def main() -> None:
    """Trains and answers."""
    asked_for = parser()
    asked_for.add_argument("--features", action="store_true", help="reads the tower's features, kept beside the base")
    asked, more = asked_for.parse_known_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning").setLevel(logging.ERROR)
    found = {"filling_cpu_s": _fill(asked)} if asked.features else {}
    clock = Clock(asked.warm)
    times = Times(clock)
    with tempfile.TemporaryDirectory() as run:
        cli = open_cli([*_options(asked, run), *more])
        cli.trainer.callbacks.append(times)
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    (asked.folder / f"order-{asked.samples}.json").write_text(json.dumps(times.keys))
    clock.answer(asked.samples, **found)


def _fill(asked: argparse.Namespace) -> float:
    """Computes what features lack, in a process of its own so that its memory is not the step's; returns CPU seconds.

    Loading is among them. Where all are there already, they are only read again.
    """
    command = [sys.executable, "-m", "cxr_lightning", "features", *_options(asked, str(asked.folder / "unused"))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _options(asked: argparse.Namespace, run: str) -> list[str]:
    parts = ["--model.source.vision", "null", "--model.source.language", "null"] if asked.stage == 1 else []
    lora = ["--model.lora.rank", "16", "--model.lora.alpha", "32"] if asked.stage == 2 else []
    if asked.checkpointing:
        lora += ["--model.compute.activation_checkpointing", '["language"]']
    features = ["--data.features", str(asked.base.parent / "features")] if asked.features else []
    return [
        "--config", str(CONFIGS / f"stage{asked.stage}.yaml"), "--config", str(CONFIGS / "scale" / "cpu.yaml"),
        "--trainer.devices", "1", "--trainer.max_steps", str(asked.steps),
        *parts, "--model.source.base", str(asked.base), *lora,
        "--model.optim.lr", "1e-4", "--model.optim.warmup", "0", "--model.optim.min_lr_ratio", "1",
        "--data.shards", str(asked.folder / "shards"), "--data.epochs", str(asked.steps),
        "--data.global_batch", str(asked.samples), "--data.micro_batch", str(asked.samples),
        "--data.validate_samples", "0", "--panels.studies", "0", "--run", f"{run}/run", *features,
    ]  # fmt: skip


if __name__ == "__main__":
    main()
