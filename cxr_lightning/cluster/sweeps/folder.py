"""A sweep's folder: what lies where, and who may work on it.

SWEEP/sweep.json               what was asked for, and the trials
SWEEP/TRIAL/                   a run directory; `tensorboard --logdir SWEEP` shows them all
SWEEP/jobs/TRIAL/config.yaml   the trial's whole configuration, as it was checked and as its jobs read it
SWEEP/jobs/TRIAL/submitted.jsonl, rank-R.jsonl, rank-R.log    what was submitted, what became of it, what it said
SWEEP/jobs/submitit/           submitit's own; what lies there is unpickled, so nobody else may write it
SWEEP/report.json, report.png, best.yaml    what came of it

Imports nothing heavy: every rank of every job does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning import durable

SCHEMA = 1


class NoSweepError(ValueError):
    """A folder holds no sweep, or one of another version."""


class SweepBusyError(ValueError):
    """Another process is submitting this sweep's trials."""


@dataclass(frozen=True)
class SweepFolder:
    """The paths of a sweep.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def record(self) -> Path:
        """What was asked for."""
        return self.path / "sweep.json"

    @property
    def submitit(self) -> Path:
        """Submitit's own folder."""
        return self.path / "jobs" / "submitit"

    def run(self, trial: str) -> Path:
        """The run directory of a trial."""
        return self.path / trial

    def job(self, trial: str) -> Path:
        """What the jobs of a trial leave beside its run."""
        return self.path / "jobs" / trial

    def config(self, trial: str) -> Path:
        """The whole configuration of a trial."""
        return self.job(trial) / "config.yaml"

    def log(self, trial: str, rank: int = 0) -> Path:
        """What a rank of a trial said, through all its attempts."""
        return self.job(trial) / f"rank-{rank}.log"

    def events(self, trial: str, rank: int = 0) -> Path:
        """When a rank of a trial began and how it ended."""
        return self.job(trial) / f"rank-{rank}.jsonl"

    def submissions(self, trial: str) -> Path:
        """What was submitted of a trial."""
        return self.job(trial) / "submitted.jsonl"

    def write(self, told: dict[str, Any]) -> None:
        """Writes down what was asked for, whole or not at all."""
        write_text(self.record, json.dumps({"schema": SCHEMA, **told}, indent=2) + "\n")

    def read(self) -> dict[str, Any]:
        """Returns what was asked for.

        Raises:
            NoSweepError: If there is nothing, or it was written by another version.
        """
        try:
            told: dict[str, Any] = json.loads(self.record.read_text())
        except (OSError, ValueError) as error:
            raise NoSweepError(
                f"{self.path} holds no sweep ({type(error).__name__} on sweep.json). Remedy: give the `folder` of a "
                "sweep's file, once `cxr sweep FILE` has begun it."
            ) from None
        if told.get("schema") != SCHEMA:
            raise NoSweepError(
                f"{self.record}: schema {told.get('schema')}, and this version reads {SCHEMA}. Remedy: use the version "
                "that began the sweep."
            )
        return told

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the sweep, so that no second process submits the same trials.

        Raises:
            SweepBusyError: If another process holds it.
        """
        (self.path / "jobs").mkdir(parents=True, exist_ok=True)
        with (self.path / "jobs" / "lock").open("a+") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise SweepBusyError(
                    f"{self.path} is held by {lock.read().strip() or 'another process'}. Remedy: look at it by `cxr "
                    f"sweep status {self.path}`, or end that process first; its jobs go on without it."
                ) from None
            except (
                OSError
            ):  # a file system without locks: the newest submission of a trial still is the one that counts
                pass
            lock.truncate(0)
            print(f"process {os.getpid()} on {socket.gethostname()}", file=lock, flush=True)
            yield


def write_text(file: Path, text: str) -> None:
    """Writes a file of a sweep, whole or not at all, and the folders that it needs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.write_text(file, text)


def append(file: Path, line: dict[str, Any]) -> None:
    """Adds a line of JSON to a file of a sweep."""
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.append(file, [json.dumps(line)])
