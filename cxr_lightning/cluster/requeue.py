"""`cxr requeue`: a job whose training crashed goes back into the queue, as long as its run gains steps.

A run that is asked to leave does so itself (`training/preemption.py`). This is for what could not ask: a killed rank, a
hang that was ended, an error of the network. Called by `slurm/job.sh` with the arguments that `cxr fit` got.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from cxr_lightning.checkpoint.attempts import FORGIVEN, attempts, fruitless
from cxr_lightning.training.job import Job, RequeueError


def requeue(args: Sequence[str]) -> None:
    """Puts this Slurm job back into the queue if its run gained steps.

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
    parser.add_argument("--run", type=Path, help="The run directory; else the one that a --config names.")
    parser.add_argument("--config", type=Path, action="append", default=[], help="A configuration of `cxr fit`.")
    parser.add_argument("--status", type=int, default=1, help="Exit status of the training.")
    known, _ = parser.parse_known_args(list(args))
    job, run = Job.here(), known.run or _run_of(known.config)
    if job is None:
        raise RequeueError("This is no Slurm job (SLURM_JOB_ID is not set), so there is nothing to requeue.")
    why_not = _why_not(run, job, known.status)
    if why_not:
        raise RequeueError(f"Job {job.number} is not requeued: {why_not}")
    job.requeue()
    told = f"Training ended with status {known.status}; job {job.number} is back in the queue and goes on from {run}."
    print(told, file=sys.stderr)


def _run_of(configs: list[Path]) -> Path:
    for config in reversed(configs):
        named = yaml.safe_load(config.read_text()) or {}
        if "run" in named:
            return Path(named["run"])
    raise RequeueError("Neither --run nor a --config names the run directory. Remedy: add --run.")


def _why_not(run: Path, job: Job, status: int) -> str:
    """Returns why a job should not run again, or nothing."""
    last = next(iter(reversed(attempts(run))), None)
    if last is None or (last.job, last.restart) != (job.number, job.restarts):
        return (
            f"{run} did not come to its first step in this attempt, so it would not in the next. What stopped it is "
            "told above. Remedy: mend that and submit the job again."
        )
    if (state := job.state()) not in ("RUNNING", ""):
        return f"Slurm is ending it already ({state})."
    barren = fruitless(run)
    if barren > FORGIVEN:
        ended = last.reason or f"a rank ended without a word, with status {status}"
        return (
            f"{barren} attempts in a row saved nothing after step {last.step} of {run}. The last one ended so: {ended}. "
            "Remedy: see the log above for the first error, mend it and submit the job again; it goes on from its "
            "newest checkpoint. If the run was only too far from its next save, lower --checkpoint.every_n_steps."
        )
    return ""
