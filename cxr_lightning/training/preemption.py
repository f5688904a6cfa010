"""Preemption and time limits: note, agree at the step's end, save together, leave, go back to the queue once.

Lightning saves inside its signal handler and has all ranks ask one another before every micro-batch, which makes a GPU
wait; both are switched off here. The wishes of all ranks come with a sum that each step needs anyway (`poll`).
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from cxr_lightning.checkpoint import attempts
from cxr_lightning.checkpoint.runs import checkpoint_folder
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training.counters import stepped
from cxr_lightning.training.job import Job, RequeueError
from cxr_lightning.training.saving import SaveCheckpoints
from cxr_lightning.training.signals import WISHES, Wish, listener
from cxr_lightning.training.validating import ValidateEvery

log = logging.getLogger(__name__)

_WHY: dict[Wish, str] = {
    "requeue": "a signal to make room (USR1 or USR2)",
    "terminate": "SIGTERM",
    "interrupt": "Ctrl-C",
    "limit": "the job's time limit",
}
_VALIDATED_BETWEEN = 8
"""Batches of a validation between two looks at the ranks' wishes: each makes a GPU wait."""
_ASKED_AGAIN = 600.0
"""Seconds until a controller that did not say when the job ends is asked again."""


class Leaving(BaseException):
    """The run is saved and ends before its last step. Not an error, so that nothing on the way takes it for one.

    Attributes:
        wish: What was asked for.
        step: Where the run was saved.
        requeue: Whether its job may be requeued.
    """

    def __init__(self, wish: Wish, step: int, requeue: bool = True) -> None:
        super().__init__(f"step {step}: {_WHY[wish]}")
        self.wish, self.step, self.requeue = wish, step, requeue


class Preemption(pl.Callback):
    """Ends a run early as it would want to be ended.

    Args:
        run: The run directory.
        saving: Saves.
        validate: Says whether a validation follows.
        before_limit_s: Seconds before the job's time limit at which the run is saved and requeued, whether or not Slurm
            sends a signal. One or two steps and a save have to fit in.
        requeue: Put the Slurm job back into the queue. Set to false where the job is not this run's alone: in an
            allocation with several runs, in a notebook.
    """

    def __init__(
        self,
        run: str,
        saving: SaveCheckpoints,
        validate: ValidateEvery,
        before_limit_s: float = 120.0,
        requeue: bool = True,
    ) -> None:
        self.run, self.saving, self.validate = Path(run), saving, validate
        self.before_limit_s, self.requeue = before_limit_s, requeue
        self.job = Job.here()
        self._limit: float | None = None
        self._asked = 0.0
        self._began = False

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Takes the signals over from Lightning."""
        connector: Any = trainer._signal_connector
        connector.register_signal_handlers = lambda: None
        loop: Any = trainer.fit_loop.epoch_loop
        loop._broadcast_sigterm_tensor = lambda: None
        listener.listen()
        pl_module.poll.ask = self._wishes

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Asks Slurm for the job's end, and writes down where this attempt begins."""
        listener.training = True
        if trainer.is_global_zero:
            self._ask_for_limit()
            if self.job is not None and self._limit is None and not self.job.state():
                log.warning("Slurm does not say when this job ends (no scontrol here?): it is saved at signals alone.")
            job, restart = ("", 0) if self.job is None else (self.job.number, self.job.restarts)
            attempts.begin(self.run, trainer.global_step, job, restart)
            self._began = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Answers a wish at the end of a step, when all ranks stand at the same place."""
        if not stepped(trainer, batch_idx):
            return
        wish = _first(pl_module.poll.read())
        if wish is not None:
            self._leave(trainer, wish, owes=self.validate.due(trainer, batch_idx))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Answers a wish within a validation, which may be longer than Slurm waits; the resumed run begins with it."""
        if trainer.sanity_checking or batch_idx % _VALIDATED_BETWEEN:
            return
        wishes = torch.tensor(self._wishes(), device=pl_module.device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(wishes)
        wish = _first(wishes.tolist())
        if wish is not None:
            self._leave(trainer, wish, owes=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Writes down what ended the attempt, for `cxr requeue`; a run that leaves as asked does so itself."""
        if self._began and not isinstance(exception, Leaving):
            told = str(exception).partition("\n")[0]
            attempts.end(self.run, f"{type(exception).__name__}: {told}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """From here on Ctrl-C is heard at once."""
        listener.training = False

    def _leave(self, trainer: pl.Trainer, wish: Wish, *, owes: bool) -> None:
        if trainer.global_step >= trainer.datamodule.steps:
            return  # what is left, the last validation and save, ends the run sooner than another start would
        self.saving.save_now(trainer, owes_validation=owes)
        raise Leaving(wish, trainer.global_step, self.requeue)

    def _wishes(self) -> list[float]:
        """Returns this rank's wishes; rank 0 watches the clock for all."""
        wishes = listener.wishes()
        if self._is_near() or (self._limit is None and self._began and time.monotonic() > self._asked + _ASKED_AGAIN):
            self._ask_for_limit()  # it may have been extended meanwhile
        wishes[WISHES.index("limit")] += self._is_near()
        return wishes

    def _is_near(self) -> bool:
        return self._limit is not None and time.time() > self._limit - self.before_limit_s

    def _ask_for_limit(self) -> None:
        """Asks Slurm for the job's end; where nobody answers, what was known holds."""
        self._asked = time.monotonic()
        if self.job is not None:
            self._limit = self.job.ends() or self._limit


def leave(run: Path, leaving: Leaving, *, speaks: bool) -> int:
    """Says how a run that left early goes on, puts its job back into the queue, and returns the exit status.

    Args:
        run: The run directory.
        leaving: Why it left.
        speaks: Whether this is the rank that speaks and acts for all.

    Returns:
        0 where the job was requeued, else 128 and the number of the signal that a shell would show.
    """
    failed = 130 if leaving.wish == "interrupt" else 143
    job = Job.here()
    if not speaks:  # a rank that failed would have srun end the one that speaks
        return failed if job is None else 0
    requeues = job is not None and leaving.requeue and _goes_back(job, leaving.wish)
    console = Console(stderr=True)
    saved = f"Saved {checkpoint_folder(run, leaving.step)} because of {_WHY[leaving.wish]}."
    onward = "The same command with --ckpt_path auto goes on from there."
    attempts.end(run, f"left at step {leaving.step}: {_WHY[leaving.wish]}")
    if requeues and leaving.wish == "limit" and attempts.fruitless(run) > attempts.FORGIVEN:
        console.print(
            f"{saved} The job is not requeued: its time limit was too short for a step, twice in a row. Remedy: submit "
            "it with a longer --time, or lower --preemption.before_limit_s.",
            soft_wrap=True,
        )
        return failed
    if job is not None and requeues:
        try:
            job.requeue()
        except RequeueError as error:
            console.print(f"{saved} {error}", soft_wrap=True)
            return failed
        onward = f"Job {job.number} is back in the queue and goes on from there."
    console.print(f"{saved} {onward}", soft_wrap=True)
    return 0 if requeues else failed


def _goes_back(job: Job, wish: Wish) -> bool:
    """Returns whether a job belongs back into the queue: `scancel` and a requeue by hand send the same SIGTERM."""
    return wish in ("requeue", "limit") or (wish == "terminate" and job.state() == "RUNNING")


def _first(wishes: list[float]) -> Wish | None:
    return next((wish for wish, count in zip(WISHES, wishes, strict=False) if count > 0), None)
