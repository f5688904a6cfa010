"""This process's Slurm job: when it ends, and putting it back into the queue."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import datetime

_SECONDS = 20
"""How long the controller may take to answer; a busy one takes several."""


class RequeueError(ValueError):
    """Slurm did not put the job back into the queue."""


@dataclass(frozen=True)
class Job:
    """A Slurm job.

    Attributes:
        number: What Slurm calls it; a task of an array has its own name, or all tasks would be requeued.
        restarts: How often it was requeued.
    """

    number: str
    restarts: int = 0

    @classmethod
    def here(cls) -> Job | None:
        """Returns the job that this process belongs to, or None."""
        number = os.environ.get("SLURM_JOB_ID")
        if number is None:
            return None
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
        if array and task:
            number = f"{array}_{task}"
        return cls(number, int(os.environ.get("SLURM_RESTART_COUNT", "0")))

    def ends(self) -> float | None:
        """Returns when Slurm will end the job, in seconds since 1970; None where it has no limit or nobody answers."""
        told = self.facts().get("EndTime", "Unknown")
        try:
            return datetime.fromisoformat(told).timestamp()
        except ValueError:
            stamp = os.environ.get("SLURM_JOB_END_TIME", "")  # newer versions say it, also where scontrol is missing
            return float(stamp) if stamp.isdigit() else None

    def state(self) -> str:
        """Returns the job's state in Slurm's words; empty where nobody answers."""
        return self.facts().get("JobState", "")

    def script(self) -> str:
        """Returns the script that was submitted; empty where the job has none, or nobody answers."""
        try:
            return _scontrol("write", "batch_script", self.number, "-")
        except (OSError, subprocess.SubprocessError):
            return ""

    def requeue(self) -> None:
        """Puts the job back into the queue; Slurm ends its processes a moment later.

        Raises:
            RequeueError: If Slurm refused, or cannot be asked from here.
        """
        try:
            _scontrol("requeue", self.number)
        except (OSError, subprocess.SubprocessError) as error:
            if self.state() in ("PENDING", "COMPLETING", "REQUEUED"):
                return  # it was, and the answer was lost
            told = getattr(error, "stderr", None) or str(error)
            raise RequeueError(
                f"Job {self.number} could not be requeued: {told.strip()}. Remedy: submit it again, it goes on from "
                "its newest checkpoint; next time submit with --requeue, and see that the nodes have scontrol."
            ) from None

    def facts(self, seconds: float = _SECONDS) -> dict[str, str]:
        """Returns what Slurm knows about the job (JobState, EndTime ...); nothing where nobody answers.

        Args:
            seconds: How long the controller may take.
        """
        try:
            told = _scontrol("--oneliner", "show", "job", self.number, seconds=seconds).splitlines()
        except (OSError, subprocess.SubprocessError):
            return {}
        return dict(word.split("=", 1) for word in told[0].split() if "=" in word) if told else {}


# The process is one of the job's step: the signals that a preempted step gets must not end it on its way.
_SHIELDED = "trap '' TERM INT USR1 USR2; exec scontrol \"$@\""


def _scontrol(*words: str, seconds: float = _SECONDS) -> str:
    command = ["sh", "-c", _SHIELDED, "scontrol", *words]
    environment = {**os.environ, "SLURM_TIME_FORMAT": "standard"}  # users may have set another
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True, env=environment).stdout
