"""Jobs for trials, by submitit: one Slurm array, or processes of this machine, each with GPUs of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from cxr_lightning.cluster.sweeps.folder import SweepFolder, append
from cxr_lightning.cluster.sweeps.liveness import began
from cxr_lightning.cluster.sweeps.resources import Resources, minutes
from cxr_lightning.cluster.sweeps.trial import TrialJob

PROGRAM = (sys.executable, "-m", "cxr_lightning", "fit")
"""What a trial runs; its arguments come after."""
MOST = 1000
"""Tasks of one array: Slurm takes 1001 unless a site says otherwise."""

_EVER = 10**6
"""Submitit requeues this often, and a local process may run so many minutes: what bounds both is not its business."""


class SubmissionError(ValueError):
    """Slurm did not take the jobs."""


@dataclass(frozen=True)
class Launch:
    """A trial to be submitted.

    Attributes:
        name: The trial.
        until: Step to pause at; None for the end.
        step: Where it stands.
    """

    name: str
    until: int | None
    step: int


def submit(
    folder: SweepFolder, launches: Sequence[Launch], resources: Resources, parallel: int, held: Sequence[int] = ()
) -> None:
    """Submits trials and writes down which job each became.

    The intention is written down first: of two submissions of a trial, which a sweep that was killed in between may
    leave, the newer one counts, and the other ends when its turn comes.

    Args:
        folder: The sweep's.
        launches: What is submitted.
        resources: What each job is given.
        parallel: How many of an array may run at once.
        held: GPUs of this machine that other trials have.

    Raises:
        SubmissionError: If Slurm refuses.
    """
    folder.submitit.mkdir(parents=True, exist_ok=True)
    folder.submitit.chmod(0o700)
    slurm = resources.on_slurm
    jobs, intended = [], []
    for launch in launches:
        token = uuid.uuid4().hex
        command = _command(folder, launch, resources)
        jobs.append(TrialJob(folder.job(launch.name), command, token, slurm, _threads(resources, parallel)))
        told = {"until": launch.until, "from": launch.step, "executor": "slurm" if slurm else "local", "token": token}
        append(folder.submissions(launch.name), told)
        intended.append(token)
    if not slurm:
        free = [number for number in gpus_here() if number not in held]
        for place, (launch, job) in enumerate(zip(launches, jobs, strict=True)):
            each = resources.gpus_per_node
            _start(folder, launch, job, free[place * each : (place + 1) * each])
        return
    numbers = _sbatch(folder, jobs, resources, parallel)
    for launch, token, number in zip(launches, intended, numbers, strict=True):
        append(folder.submissions(launch.name), {"token": token, "job": number})


def gpus_here() -> list[int]:
    """Returns the GPUs of this machine that may be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [int(word) for word in visible.split(",") if word.strip().isdigit()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
    return list(range(sum(line.startswith("GPU ") for line in listed.splitlines())))


def _threads(resources: Resources, parallel: int) -> int | None:
    """Returns the cores that a rank has where trials compute on those of this machine; each would take all of them."""
    if resources.on_slurm or resources.gpus_per_node:
        return None
    return max(1, len(os.sched_getaffinity(0)) // (parallel * resources.tasks_per_node))


def _command(folder: SweepFolder, launch: Launch, resources: Resources) -> list[str]:
    pause = [] if launch.until is None else ["--pause_after_step", str(launch.until)]
    run = ["--run", str(folder.run(launch.name)), "--ckpt_path", "auto"]
    return [*PROGRAM, "--config", str(folder.config(launch.name)), *run, *pause, *resources.arguments()]


def _sbatch(folder: SweepFolder, jobs: list[TrialJob], resources: Resources, parallel: int) -> list[str]:
    with _without_slurms_own():
        executor = submitit.SlurmExecutor(folder.submitit, max_num_timeout=_EVER)
        executor.update_parameters(**slurm_parameters(folder, resources, parallel))
        try:
            return [job.job_id for job in executor.submit_array(jobs)]
        except (FailedJobError, FailedSubmissionError) as error:
            raise SubmissionError(
                f"Slurm did not take the jobs: {' '.join(str(error).split())}. Remedy: mend what it names under jobs "
                "in the sweep's file, then say the same again. Where Slurm is not to be used, set executor to local "
                "there, and begin in another --folder."
            ) from None


def slurm_parameters(folder: SweepFolder, resources: Resources, parallel: int) -> dict[str, object]:
    """Returns what submitit is told of the jobs.

    Args:
        folder: The sweep's.
        resources: What each job is given.
        parallel: How many may run at once.
    """
    cores = [] if resources.cpus_per_task is None else [f"--cpus-per-task={resources.cpus_per_task}"]
    more = {name.replace("_", "-"): value for name, value in resources.sbatch.items()}
    port = f"{shlex.quote(sys.executable)} -m cxr_lightning.cluster.port"
    given = {
        "job_name": f"sweep-{folder.path.name}",
        "time": minutes(resources.time),
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "gpus_per_node": resources.gpus_per_node or None,
        "cpus_per_task": resources.cpus_per_task,
        "partition": resources.partition,
        "array_parallelism": parallel,
        "signal_delay_s": 120,  # as the job scripts ask for
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True, **more},
        # A rank that dies ends its job; srun does not take the cores from sbatch.
        "srun_args": ["--kill-on-bad-exit=1", *cores, *resources.srun],
        # On the first node, where rank 0 will listen: trials that share a node meet at ports of their own.
        "setup": ["set -eo pipefail", *resources.setup, f'MASTER_PORT="$({port})"', "export MASTER_PORT"],
    }
    return {name: value for name, value in given.items() if value is not None}


def _start(folder: SweepFolder, launch: Launch, job: TrialJob, gpus: list[int]) -> None:
    """Starts a process of this machine, which outlives this one."""
    executor = submitit.LocalExecutor(folder.submitit)
    executor.update_parameters(timeout_min=_EVER, gpus_per_node=len(gpus), visible_gpus=gpus, stderr_to_stdout=True)
    # Ctrl-C of a terminal reaches all that was started there: the run answers it, those between must not be in its way.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        started = executor.submit(job)
    finally:
        signal.signal(signal.SIGINT, before)
    told = {"token": job.token, "job": started.job_id, "host": socket.gethostname()}
    append(folder.submissions(launch.name), {**told, "ticks": began(int(started.job_id)), "gpus": gpus})


@contextlib.contextmanager
def _without_slurms_own() -> Iterator[None]:
    """Hides the job that this process runs in, if it does: sbatch would hand its tasks and cores on to the new ones."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("SLURM_") and name != "SLURM_CONF"}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
