"""`cxr requeue`: a job whose training crashed goes back into the queue, as long as its run gains steps.

A run that is asked to leave does so itself (`training/preemption.py`). This is for what could not ask: a killed rank, a
hang that was ended, an error of the network. Called by `slurm/job.sh` with the arguments that `cxr fit` got.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cxr_lightning.checkpoint.attempts import FORGIVEN, attempts, barren_crashes, requeued, saved
from cxr_lightning.training.job import Job, RequeueError


def requeue(args: Sequence[str]) -> None:
    """Put this Slurm job back into the queue, if its run gained steps.

    Args:
        args: The arguments of the `cxr fit` that ended, and `--status`, the exit status of its srun.

    Raises:
        RequeueError: If the job should not, or cannot, go back.
    """
    parser = argparse.ArgumentParser(
        prog="cxr requeue",
        description="Put this Slurm job back into the queue, if its run gained steps. Called by slurm/job.sh.",
        epilog="All other arguments of `cxr fit` may stand here too; they are not looked at.",
        allow_abbrev=False,
    )
    # In one list, because the last word wins, whichever it is.
    named: dict[str, Any] = {"dest": "named", "action": "append", "default": []}
    parser.add_argument("--run", type=lambda word: ("run", word), help="The run directory.", **named)
    parser.add_argument("--config", type=lambda word: ("config", word), help="A configuration, for its `run`.", **named)
    parser.add_argument("--status", type=int, default=1, help="Exit status of the training.")
    known, _ = parser.parse_known_args(list(args))
    job, run = Job.here(), _run_of(known.named)
    if job is None:
        raise RequeueError("This is no Slurm job (SLURM_JOB_ID is not set), so there is nothing to requeue.")
    why_not = _why_not(run, job, known.status)
    if why_not:
        raise RequeueError(f"Job {job.number} is not requeued: {why_not}")
    requeued(run, job.number, job.restarts)  # first: Slurm ends this process as soon as it has taken the job back
    job.requeue()
    told = f"Training ended with status {known.status}; job {job.number} is back in the queue and goes on from {run}."
    print(told, file=sys.stderr)


def _run_of(named: list[tuple[str, str]]) -> Path:
    for option, word in reversed(named):
        run = word if option == "run" else (yaml.safe_load(Path(word).read_text()) or {}).get("run")
        if run:
            return Path(run)
    raise RequeueError("Neither --run nor a --config names the run directory. Remedy: add --run.")


def _why_not(run: Path, job: Job, status: int) -> str:
    """Returns why a job should not run again, or nothing."""
    if status == 128 + signal.SIGINT:
        return "it was interrupted by hand."
    mine = [each for each in attempts(run) if each.job == job.number]
    if not mine:
        return (
            f"this attempt made no step of {run}, nor would the next. What stopped it is told above. Remedy: mend that "
            "and submit the job again."
        )
    if (state := job.state()) not in ("RUNNING", ""):
        return f"Slurm is ending it already ({state})."
    barren = barren_crashes(run, job.number, job.restarts)
    if barren > FORGIVEN:
        ended = mine[-1].reason or f"a rank ended without a word, with status {status}"
        return (
            f"{barren} attempts in a row saved nothing after step {saved(run)} of {run}. The last ended so: {ended}. "
            "Remedy: see the log above for the first error, mend it and submit the job again; it goes on from its "
            "newest checkpoint. If the run was only too far from its next save, lower --checkpoint.every_n_steps."
        )
    return ""
