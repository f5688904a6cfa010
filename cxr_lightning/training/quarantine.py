"""Bad samples of a run: those that loaders left out enter, `skipped.jsonl`, warnings and a bound leave.

Each rank knows its own. Whether there are any comes with the monitor's sums, so a run without costs nothing; where
there are, all ranks exchange them and decide alike. A checkpoint carries which are bad: the bound holds over resumes.
"""

from __future__ import annotations

import json
import logging
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.stream.rows import Batch
from cxr_lightning.stream.skipped import Skipped, allowed
from cxr_lightning.training.curve import Journal, rewind

log = logging.getLogger(__name__)

NAME = "skipped.jsonl"
_STATE = "skipped"
_WARNED_AT_ONCE, _LISTED = 5, 20
_Seen = tuple[int, Skipped]
"""The optimizer step that was made without the sample, and the sample."""


class TooManyBadSamplesError(ValueError):
    """More samples of a split are unusable than `--data.max_bad` allows."""


class Quarantine(pl.Callback):
    """Writes down, warns and stops.

    Args:
        run: The run directory.
    """

    def __init__(self, run: str) -> None:
        self.file = Path(run) / NAME
        self._journal = Journal(self.file)
        self.skips = 0
        """How often a sample was left out, over all ranks; a bad one once an epoch."""
        self.bad: dict[str, set[int]] = {}
        """Numbers of the different bad samples of each split."""
        self._told: dict[Skipped, int] = {}
        self._pending: list[_Seen] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drops lines past the step from which a resumed run goes on: those steps are made again."""
        self._pending = []
        if trainer.is_global_zero and self.file.exists():
            rewind(self.file, trainer.global_step)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Takes over what the loader left out."""
        self._pending += [(trainer.global_step + 1, each) for each in batch.get("skipped", [])]

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Takes over what the loader left out."""
        if not trainer.sanity_checking:
            self._pending += [(trainer.global_step, each) for each in batch.get("skipped", [])]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts what came after the last logged step."""
        self.collect(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Brings the file up to the step that is saved, and saves what is known to be bad."""
        self.collect(trainer, pl_module)
        checkpoint[_STATE] = {"skips": self.skips, "bad": {split: sorted(bad) for split, bad in self.bad.items()}}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Goes on counting."""
        state = checkpoint.get(_STATE, {"skips": 0, "bad": {}})
        self.skips = int(state["skips"])
        self.bad = {split: set(numbers) for split, numbers in state["bad"].items()}

    def collect(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> int:
        """Exchanges bad samples among ranks if any has some; all ranks call it together.

        Returns:
            How many there were since the last time, over all ranks.

        Raises:
            TooManyBadSamplesError: If they are too many by now.
        """
        count = torch.tensor(len(self._pending), device=pl_module.device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(count)
        if int(count):
            self.exchange(trainer)
        return int(count)

    def exchange(self, trainer: pl.Trainer) -> None:
        """Writes down and counts the bad samples of all ranks; all ranks call it together.

        Raises:
            TooManyBadSamplesError: If they are too many by now.
        """
        seen = sorted(chain.from_iterable(gather(self._pending)))
        self._pending = []
        if not seen:
            return
        self.skips += len(seen)
        new = [each for _, each in seen if each.number not in self.bad.get(each.split, ())]
        for each in new:
            self.bad.setdefault(each.split, set()).add(each.number)
        self._told.update(dict.fromkeys(new, 0))
        if trainer.is_global_zero:
            self._write(seen)
            self._warn(list(dict.fromkeys(new)))
        self._require_few(trainer.datamodule)

    def _write(self, seen: list[_Seen]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._journal.add(*(json.dumps({"step": step, **each._asdict()}) for step, each in seen))

    def _warn(self, new: list[Skipped]) -> None:
        for each in new[:_WARNED_AT_ONCE]:
            log.warning("skipped %s of %s: %s", each.key, each.shard, each.reason)
        if len(new) > _WARNED_AT_ONCE:
            log.warning("and %d more samples skipped; %s lists them", len(new) - _WARNED_AT_ONCE, self.file)

    def _require_few(self, data: Any) -> None:
        for split, bad in self.bad.items():
            samples = len(data.sets.samples(split))
            most = allowed(samples, data.max_bad)
            if len(bad) > most:
                told = [each for each in self._told if each.split == split][:_LISTED]
                lines = "".join(f"\n  {each.key} ({each.shard}): {each.reason}" for each in told)
                more = f"\n  and {len(bad) - len(told)} more" if len(bad) > len(told) else ""
                raise TooManyBadSamplesError(
                    f"{len(bad)} of the {samples} samples of {split} cannot be used, and "
                    f"--data.max_bad={data.max_bad:g} allows {most}. {self.file} lists them. Remedy: mend or copy "
                    f"again what is listed and go on by --ckpt_path auto, or raise --data.max_bad:{lines}{more}"
                )
