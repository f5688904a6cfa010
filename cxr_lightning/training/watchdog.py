"""A rank that hangs: found by the clock, traced on all ranks, and the job ended so that it may run again elsewhere.

Ranks wait for one another in every step, so when one hangs all stand still, each in its own place. A thread of each
rank sees that its training made no move for too long, writes the stacks of all its threads down, and ends the process.
Who is to blame shows from what the ranks said last: the one that is silent, else the one that is behind. Nothing of it
is a collective, and the training only notes the time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cxr_lightning.checkpoint import attempts
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training import pulse
from cxr_lightning.training.pulse import Beat

STATUS = 70
"""Exit status of a run that hung."""
FOLDER = "hangs"


class Watchdog(pl.Callback):
    """Ends a run that hangs.

    Args:
        run: The run directory.
        timeout_s: Seconds that a micro-batch, or the wait for its data, may take; 0 watches nothing.
        slow_timeout_s: Seconds for what is long by nature: the first step (compilation), a save, the end of a
            validation with its generated reports.
    """

    def __init__(self, run: str, timeout_s: float = 600.0, slow_timeout_s: float = 3600.0) -> None:
        self.run, self.timeout_s, self.slow_timeout_s = Path(run), timeout_s, max(slow_timeout_s, timeout_s)
        self.every = max(0.5, min(30.0, timeout_s / 10))
        """Seconds between two looks at the clock."""
        self._rank = 0
        self._step = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._move: tuple[int, str, float, float] = (0, "", 0.0, 0.0)
        """Number, name, beginning on the monotonic clock, and allowance of what the training does now: one assignment,
        so that the thread never sees half of it."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins to watch; before it, rendezvous and loading have time limits of their own."""
        if self.timeout_s <= 0:
            return
        self._rank, self._step = trainer.global_rank, trainer.global_step
        if trainer.is_global_zero:
            pulse.clear(self.run)
            (self.run / pulse.FOLDER).mkdir(parents=True, exist_ok=True)
        trainer.strategy.barrier("watchdog")
        self._mark("beginning to train", slow=True)
        self._done.clear()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Notes that a micro-batch begins."""
        first = trainer.global_step == self._step
        self._mark(f"step {trainer.global_step + 1}, micro-batch {batch_idx}", slow=first)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Notes that one ended."""
        self._mark(f"after step {trainer.global_step}", slow=bool(getattr(trainer.strategy, "saving", False)))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes that a checkpoint is made."""
        self._mark(f"saving after step {trainer.global_step}", slow=True)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that a validation begins."""
        self._mark(f"validation after step {trainer.global_step}", slow=True)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Notes that it goes on."""
        self._mark(f"validation after step {trainer.global_step}, batch {batch_idx + 1}")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that what comes is long: reports are generated, and a checkpoint may be saved."""
        self._mark(f"end of the validation after step {trainer.global_step}", slow=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that only the last save is left."""
        self._mark("the end of the training", slow=True)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stops to watch."""
        if self._thread is None:
            return
        self._done.set()
        self._thread.join(5)
        self._thread = None
        faulthandler.cancel_dump_traceback_later()
        if trainer.is_global_zero:
            pulse.clear(self.run)

    def _mark(self, doing: str, *, slow: bool = False) -> None:
        allowed = self.slow_timeout_s if slow else self.timeout_s
        self._move = (self._move[0] + 1, doing, time.monotonic(), allowed)

    def _watch(self) -> None:
        """Looks at the clock, until the training ends or hangs."""
        looked, paused = time.monotonic(), 0.0
        watched = -1
        while not self._done.wait(self.every):
            now = time.monotonic()
            number, doing, began, allowed = self._move
            if number != watched:
                watched, paused = number, 0.0
            # A process that was suspended as a whole, or a debugger that holds it, is not a training that hangs.
            paused += max(0.0, now - looked - 3 * self.every) if sys.gettrace() is None else now - looked
            looked = now
            # Should even this thread not run any more (C code that keeps the interpreter), this fires without it.
            faulthandler.dump_traceback_later(self.slow_timeout_s + 60, exit=True, file=2)
            idle = now - began - paused
            with contextlib.suppress(OSError):  # a full disk has its own error
                pulse.tell(self.run, self._rank, number, doing, time.time() - (now - began))
            if idle > allowed:
                self._end(doing, idle)

    def _end(self, doing: str, idle: float) -> None:
        """Writes down where this rank stands, has one rank say it for all, and ends the process."""
        folder = self.run / FOLDER / doing_folder(self._move[1])
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"rank-{self._rank}.txt").open("w") as file:
                print(f"rank {self._rank} on {socket.gethostname()}: {doing}, for {idle:.0f} s", file=file, flush=True)
                faulthandler.dump_traceback(file, all_threads=True)
        time.sleep(2 * self.every)  # the others come to the same end, within one look at the clock
        beats = pulse.beats(self.run)
        awake = [beat.rank for beat in beats if time.time() - beat.at < 6 * self.every]
        if self._rank == min(awake, default=self._rank):
            told = verdict(beats, set(awake), idle, self.run / FOLDER)
            with contextlib.suppress(OSError):
                (folder / "verdict.txt").write_text(told + "\n")
                attempts.end(self.run, told.partition("\n")[0])
            os.write(2, f"\n{told}\n".encode())
        time.sleep(self.every)  # the first process that ends has srun end the others: let the word be out
        _end_silent_neighbours(beats, set(awake))  # and breaks the collective that the training thread waits in
        os._exit(STATUS)


def doing_folder(doing: str) -> str:
    """Returns the folder for the stacks of a hang: all ranks hang at the same step, whatever each does there."""
    steps = [word.strip(",") for word in doing.split() if word.strip(",").isdigit()]
    return f"step-{int(steps[0]):07d}" if steps else "begin"


def verdict(beats: list[Beat], awake: set[int], idle: float, folder: Path) -> str:
    """Returns who hangs, where, and for whom the others wait, for people.

    Args:
        beats: What every rank last said.
        awake: The ranks that still say something.
        idle: Seconds without a move.
        folder: Where the stacks are.
    """
    silent = [beat for beat in beats if beat.rank not in awake]
    least = min((beat.moves for beat in beats if beat.rank in awake), default=0)
    most = max((beat.moves for beat in beats if beat.rank in awake), default=0)
    behind = [beat for beat in beats if beat.rank in awake and beat.moves == least < most]
    lines = [f"Training made no move for {idle:.0f} s (--watchdog.timeout_s): "]
    if silent:
        lines[0] += f"{_named(silent)} fell silent: stopped, killed, or its node is lost"
    elif behind:
        lines[0] += f"{_named(behind)} is behind, and the others wait"
    else:
        lines[0] += "all ranks are in the same step; the stacks tell which one is not in the collective of the others"
    for beat in silent or behind or beats[:1]:
        lines.append(f"  rank {beat.rank} on {beat.host}: {beat.doing}{_process(beat)}")
    others = {beat.doing for beat in beats if beat not in silent and beat not in behind}
    lines.append(f"  the others: {'; '.join(sorted(others)[:4])}" if others else "  there are no others")
    lines.append(
        f"Stacks of all threads of the ranks that could still write: {folder}. The run ends with status {STATUS}. "
        "Remedy: if it is always the same node, leave it out (sbatch --exclude); if the step is only slow, raise "
        "--watchdog.timeout_s."
    )
    return "\n".join(lines)


def _named(beats: list[Beat]) -> str:
    named = [f"rank {beat.rank} on {beat.host}" for beat in beats[:4]]
    return ", ".join(named) + (f" and {len(beats) - 4} more" if len(beats) > 4 else "")


def _process(beat: Beat) -> str:
    """Returns what this node's kernel knows of a process here: all that can be had of one that is stopped."""
    if beat.host != socket.gethostname():
        return ""
    try:
        lines = Path(f"/proc/{beat.process}/status").read_text().splitlines()
        state = next(line.partition(":")[2].strip() for line in lines if line.startswith("State:"))
        waits = Path(f"/proc/{beat.process}/wchan").read_text().strip()
    except (OSError, StopIteration):
        return ", its process is gone"
    return f", its process is {state}" + (f", in {waits}" if waits not in ("", "0") else "")


def _end_silent_neighbours(beats: Iterable[Beat], awake: set[int]) -> None:
    """Ends processes of this node that were stopped: nothing else would, where ranks have no srun above them."""
    for beat in beats:
        if beat.rank not in awake and beat.host == socket.gethostname():
            with contextlib.suppress(OSError):
                alike = os.path.samefile(f"/proc/{beat.process}/exe", "/proc/self/exe")
                if alike and "its process is T" in _process(beat):
                    os.kill(beat.process, signal.SIGKILL)
