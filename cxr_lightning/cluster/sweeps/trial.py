"""What submitit starts for a trial, once a rank: `cxr fit` in a process of its own, watched, and what became of it.

The run itself saves and requeues its job when it is asked to leave (training/preemption.py), so submitit, which would
do the same, is kept from it: this process only waits until its child has ended. Where a signal came before the child
could listen, it requeues the job in the child's place. Imports nothing heavy: it runs beside every rank.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from cxr_lightning.cluster.port import free_port
from cxr_lightning.cluster.sweeps.folder import append
from cxr_lightning.cluster.sweeps.liveness import began
from cxr_lightning.durable import json_lines
from cxr_lightning.training.job import Job, RequeueError

_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)
_LAUNCHED = ("MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE")


class TrialError(RuntimeError):
    """A trial's run ended with an error, which its log tells."""


@dataclass
class TrialJob:
    """One submission of a trial; submitit pickles it, and calls it once a rank.

    Attributes:
        folder: Where events and logs of the trial's jobs go.
        command: The run.
        token: Of this submission; only the newest of a trial may run.
        slurm: Whether Slurm starts the ranks.
        threads: Of each rank, where trials share the cores of this machine; None leaves it to the run.
    """

    folder: Path
    command: list[str]
    token: str
    slurm: bool
    threads: int | None = None

    def __call__(self) -> int:
        """Runs the trial, and returns 0.

        Raises:
            TrialError: If it failed, or a newer submission took its place.
        """
        rank = int(os.environ.get("SLURM_PROCID", "0")) if self.slurm else 0
        heard = Heard(forwards=not self.slurm)
        submitted = [line["token"] for line in json_lines(self.folder / "submitted.jsonl") if "until" in line]
        if submitted and submitted[-1] != self.token:
            raise TrialError(f"{self.folder.name}: a newer submission took the place of this one.")
        log = self.folder / f"rank-{rank}.log"
        self._tell(rank, "began", process=os.getpid(), ticks=began(os.getpid()))
        with log.open("ab") as output:
            output.write(self._heading())
            output.flush()
            child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment()
            )
            code = heard.wait(child)
        self._tell(rank, "ended", code=code)
        if self.slurm and -code in heard.signals:  # Slurm ends the job, or the run could not listen yet
            self._put_back(-code)
            return 0
        if code:
            raise TrialError(f"{self.folder.name}: the run ended with exit code {code}. {log} says why.")
        return code

    def checkpoint(self) -> Any:
        """Returns what submitit puts back into the queue when a signal comes before this process could answer it."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _tell(self, rank: int, event: str, **more: Any) -> None:
        job = Job.here() if self.slurm else None
        number, restart = ("", 0) if job is None else (job.number, job.restarts)
        told = {"event": event, "token": self.token, "job": number, "restart": restart, "at": time.time()}
        append(self.folder / f"rank-{rank}.jsonl", {**told, "host": socket.gethostname(), **more})

    def _heading(self) -> bytes:
        job = Job.here() if self.slurm else None
        told = "" if job is None else f", job {job.number}, restart {job.restarts}"
        return f"\n== {time.strftime('%F %T')}, {socket.gethostname()}{told}: {' '.join(self.command)}\n".encode()

    def _environment(self) -> dict[str, str]:
        ours = dict(os.environ)
        if not self.slurm:  # whatever launched the sweep is not what launches its runs
            ours = {
                name: value for name, value in ours.items() if name not in _LAUNCHED and not name.startswith("SLURM_")
            }
            ours["MASTER_PORT"] = str(free_port())
        if self.threads is not None:
            ours.setdefault("OMP_NUM_THREADS", str(self.threads))
        return {**ours, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}

    def _put_back(self, number: int) -> None:
        """Requeues the job of a run that a signal ended before it could listen.

        `scancel` and a requeue send SIGTERM as well, so that counts only while the job is not being ended.
        """
        job = Job.here()
        if job is not None and (number != signal.SIGTERM or job.state() == "RUNNING"):
            with contextlib.suppress(RequeueError):  # another rank did, or Slurm does not let it: then it stands failed
                job.requeue()


class Heard:
    """Signals of this process, which go on to its child where nobody else sends it the same.

    Args:
        forwards: Slurm signals every process of a job; elsewhere the child hears it from here.
    """

    def __init__(self, *, forwards: bool) -> None:
        self.forwards = forwards
        self.signals: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        for number in _SIGNALS:
            signal.signal(number, self._hear)

    def wait(self, child: subprocess.Popen[bytes]) -> int:
        """Waits for the child's end; what was heard before it was there is for it too."""
        self._child = child
        for number in self.signals:
            self._pass_on(number)
        return child.wait()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCONT:
            return
        self.signals.append(number)
        if self.forwards:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)
