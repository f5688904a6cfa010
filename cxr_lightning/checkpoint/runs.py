"""The run directory: what a run leaves behind, and how the next station finds it.

RUN/config.yaml            the resolved configuration
RUN/run.json               provenance: stage, model, what learned, data, versions, what it inherits
RUN/metrics.jsonl          a line per logged step
RUN/tensorboard/           the same for TensorBoard
RUN/attempts.jsonl         every start, and how it ended
RUN/job.sh                 the script of the Slurm job, if it is one
RUN/checkpoints/step-N/    learned weights, optimizer and position; complete once manifest.json is there

Wherever a checkpoint is asked for, RUN/checkpoints/best stands for the one with the lowest validation loss.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoint.manifest import NAME as MANIFEST
from cxr_lightning.checkpoint.manifest import is_complete, verify
from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.durable import write_text

WEIGHTS = "trainable.safetensors"
BEST = "best"


class RunError(ValueError):
    """A folder is not a run, or a run has not come as far as is asked of it."""


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        folder: The directory.
        provenance: What `run.json` says.
        chosen: The checkpoint that was asked for; None stands for the newest.
    """

    folder: Path
    provenance: dict[str, Any]
    chosen: Path | None = None

    @property
    def stage(self) -> str:
        """`alignment` or `instruction`."""
        return str(self.provenance["stage"])

    def checkpoint(self) -> Path:
        """Returns the chosen checkpoint, else the newest complete one, undamaged.

        Raises:
            RunError: If there is none yet.
            DamagedCheckpointError: If a file of it is missing or changed.
        """
        newest = self.chosen or newest_checkpoint(self.folder)
        if newest is None:
            raise RunError(
                f"The run {self.folder} has no complete checkpoint. Remedy: let it train up to its first save "
                "(--checkpoint.every_n_steps), or name another run."
            )
        verify(newest)
        return newest

    def weights(self) -> Path:
        """Returns the file with everything learned so far, inherited weights included."""
        return self.checkpoint() / WEIGHTS


def open_run(folder: str | Path) -> Run:
    """Opens a run directory, or the run of a checkpoint folder inside it.

    Raises:
        RunError: If the folder is not a run.
    """
    path, chosen = Path(folder), None
    if path.parent.name == "checkpoints":
        path, chosen = path.parent.parent, resolve(path)
    record = path / "run.json"
    if not record.is_file():
        there = "has no run.json" if path.is_dir() else "does not exist"
        raise RunError(f"{path} {there}, so it is not a run. Remedy: give the folder that `cxr fit` wrote (--run).")
    return Run(path, json.loads(record.read_text()), chosen)


def write_provenance(folder: Path, provenance: dict[str, Any]) -> None:
    """Writes `run.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "run.json", json.dumps(provenance, indent=2) + "\n")


def checkpoints(folder: Path) -> list[Path]:
    """Returns the complete checkpoints of a run, oldest first."""
    found = [path for path in (folder / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted((path for path in found if is_complete(path)), key=step_of)


def newest_checkpoint(folder: Path) -> Path | None:
    """Returns the newest complete checkpoint of a run, or None."""
    complete = checkpoints(folder)
    return complete[-1] if complete else None


def best_of(complete: list[Path]) -> Path | None:
    """Returns the checkpoint with the lowest validation loss, the earlier one of two alike; None if none has one."""
    losses = {path: validation_loss(path) for path in complete}
    validated = [path for path in complete if math.isfinite(losses[path])]
    return min(validated, key=lambda path: losses[path], default=None)


def resolve(checkpoint: Path) -> Path:
    """Returns the folder of a checkpoint, also where it is called `best`.

    Raises:
        RunError: If the run has validated none of its checkpoints.
    """
    if checkpoint.name != BEST:
        return checkpoint
    best = best_of(checkpoints(checkpoint.parent.parent))
    if best is None:
        raise RunError(
            f"{checkpoint}: no checkpoint of this run has a validation loss. Remedy: name one as "
            f"{checkpoint.parent}/step-N, or train with a validation split (--data.validate_samples)."
        )
    return best


def sweep(folder: Path) -> None:
    """Deletes what a killed save or deletion of a run left; call before a run begins to save."""
    complete = set(checkpoints(folder))
    for path in (folder / "checkpoints").glob("step-*"):
        if path.suffix == ".old" and is_complete(path) and not path.with_suffix("").exists():
            path.rename(path.with_suffix(""))  # killed between two renames: it is the checkpoint still
        elif path not in complete:
            shutil.rmtree(path, ignore_errors=True)


def retain(folder: Path, newest: int) -> None:
    """Deletes all of a run's checkpoints but the newest few and the best.

    Args:
        folder: The run directory.
        newest: How many of the newest to keep.
    """
    complete = checkpoints(folder)
    best = best_of(complete)
    for old in complete[:-newest]:
        if old != best:
            (old / MANIFEST).unlink()  # first, so that a half-deleted folder is no checkpoint
            shutil.rmtree(old)


def step_of(checkpoint: Path) -> int:
    """Returns the optimizer step at which a checkpoint was made."""
    return int(checkpoint.name.removeprefix("step-"))


def checkpoint_folder(run: Path, step: int) -> Path:
    """Returns where the checkpoint of a step belongs."""
    return run / "checkpoints" / f"step-{step:07d}"
