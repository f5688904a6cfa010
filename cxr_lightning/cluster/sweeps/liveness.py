"""Which jobs are alive: by squeue where there is Slurm, by their processes where there is not. Never by accounting."""

from __future__ import annotations

import getpass
import subprocess

from cxr_lightning.training import processes
from cxr_lightning.training.job import Job

_SECONDS = 60
"""How long a busy controller may take."""


class QueueError(OSError):
    """Slurm does not say which jobs there are."""


def slurm_jobs() -> dict[str, str]:
    """Returns the state of each of the user's jobs that is not over, in Slurm's words; an array's tasks one by one.

    Raises:
        QueueError: If Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i|%T", f"--user={getpass.getuser()}"]
    rows = [line.split("|") for line in _ask(command).splitlines()]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}


def slurm_job(number: str) -> dict[str, str]:
    """Returns what Slurm still knows about a job (JobState, ExitCode, Reason); nothing once it has forgotten it."""
    return Job(number).facts(_SECONDS)


def began(process: int) -> str | None:
    """Returns when a process of this machine began, in the kernel's ticks; None if it is over.

    With the number of a process it tells whether that is still the same one.
    """
    over = processes.fields(process)[:1] in ([], ["Z"], ["X"])  # Z, X: only its parent has not looked
    return None if over else processes.started(process)


def _ask(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip()
        raise QueueError(
            f"{command[0]} gives no answer: {told}. Remedy: see whether Slurm's controller is there (scontrol ping), "
            "then say the same again; jobs that run are not touched."
        ) from None
