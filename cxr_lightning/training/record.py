"""Writes down what a run is: provenance for the next station, and the table of what learns before step 0."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from cxr_lightning import __version__
from cxr_lightning.checkpoint import studies
from cxr_lightning.checkpoint.runs import newest_checkpoint, write_provenance
from cxr_lightning.durable import write_text
from cxr_lightning.model.trainable import table
from cxr_lightning.training.job import Job

RECORDED = ("torch", "lightning", "deepspeed", "transformers", "peft", "webdataset")


class Record(pl.Callback):
    """Writes `run.json` and prints what is frozen and what learns.

    Args:
        run: The run directory.
        config: The resolved configuration, as YAML.
    """

    def __init__(self, run: str, config: str) -> None:
        self.run, self.config = Path(run), config

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Runs once model, data and ranks are known, before the first step."""
        if not trainer.is_global_zero:
            return
        console = Console(stderr=True)
        console.print(table(pl_module.counts, pl_module.trainable, pl_module.loras))
        if pl_module.inherits is not None and pl_module.resume_from is None:
            names = ", ".join(sorted({name.rsplit(".", 1)[0] for name in pl_module.inherited_names})[:3])
            console.print(
                f"Begins with {len(pl_module.inherited_names)} tensors of {pl_module.inherits.folder} "
                f"({pl_module.inherits.stage}, {pl_module.inherits.checkpoint().name}): {names} ..."
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Says how an interrupted training goes on."""
        if trainer.is_global_zero and isinstance(exception, KeyboardInterrupt):
            newest = newest_checkpoint(self.run)
            onward = (
                f"The same command with --ckpt_path auto goes on from {newest.name}."
                if newest is not None
                else "There is no checkpoint yet (--checkpoint.every_n_steps), so a run begins anew."
            )
            Console(stderr=True).print(f"Stopped after step {trainer.global_step}. {onward}", soft_wrap=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Says how long the training is and where it begins, once a resumed run knows its place."""
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule
        ranks, rows = trainer.world_size, trainer.accumulate_grad_batches
        laid = "packed" if data.layout == "packed" else "padded"
        least = f" of at most {data.row_tokens} tokens" if data.row_tokens else ""
        Console(stderr=True).print(
            f"{data.steps} steps of {data.global_batch} samples = {ranks} ranks x {rows} {laid} rows{least}; "
            f"first step {data.first_step}"
        )
        if len(data.sets.sets) > 1:
            passes = zip(data.sets.indexes, data.passes(), strict=True)
            Console(stderr=True).print("Passes: " + ", ".join(f"{index.root} {times:.2f}" for index, times in passes))
        # Only now: a resume that was refused on the way here must not change what the run says of itself.
        self.run.mkdir(parents=True, exist_ok=True)
        write_text(self.run / "config.yaml", self.config)
        learned_from = studies.trained_on(data.sets.indexes, pl_module.ancestors())
        studies.write_studies(self.run, learned_from)
        job = Job.here()
        if job is not None and (script := job.script()):
            (self.run / "job.sh").touch(0o600)  # Slurm shows a script to its owner alone: there may be tokens in it
            (self.run / "job.sh").write_text(script)
        write_provenance(
            self.run,
            {
                "schema": 1,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "cxr_lightning": __version__,
                "commit": commit(),
                "versions": {"python": platform.python_version(), **{name: version(name) for name in RECORDED}},
                **pl_module.provenance(),
                "data": {
                    "shards": [index.root for index in data.sets.indexes],
                    "weights": [each.weight for each in data.sets.sets],
                    "fingerprint": data.sets.fingerprint,
                    "samples": data.batches.order.samples,
                    "studies": len(learned_from),
                    "global_batch": data.global_batch,
                    "epochs": data.epochs,
                    "steps": data.steps,
                    "seed": data.seed,
                    "max_tokens": data.max_tokens,
                    "image_size": data.index.image["size"],
                },
                "ranks": trainer.world_size,
                "precision": str(trainer.precision),
            },
        )


def commit() -> str | None:
    """Returns the commit of the source tree that runs, marked where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here)]
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+changes" if dirty.strip() else "")
