"""Answers as they come, on disk at once: what is killed goes on where it stopped, and ranks share the work by files.

OUT/evaluation.json   whose answers to what these are; anything else is refused
OUT/answers/*.jsonl   the answers of each rank, until all are there; then predictions.jsonl has them
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.evaluation import predictions
from cxr_lightning.evaluation.tasks import Answer, Task, TaskId
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.shards.durable import append, json_lines, write_text

log = logging.getLogger(__name__)
SETTINGS = "evaluation.json"
FOLDER = "answers"
_POLL_SECONDS = 2.0
_STALLED_SECONDS = 1800.0


class OtherAnswersError(ValueError):
    """A folder holds answers of another model, to other questions, or is being written by somebody else."""


class RanksStalledError(ValueError):
    """Other ranks have stopped answering."""


@dataclass(frozen=True)
class Rank:
    """One of several processes that share an evaluation, on one node or many.

    Attributes:
        number: Which.
        count: Of how many.
    """

    number: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Rank:
        """Returns what torchrun or Slurm says of this process; alone without them."""
        for number, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
            if number in os.environ and count in os.environ:
                return cls(int(os.environ[number]), int(os.environ[count]))
        return cls()


class Journal:
    """The answers of an evaluation.

    Args:
        out: Its folder; made if absent.
        settings: Whose answers to what.
        rank: Which process this is.
        overwrite: Forget what is there.

    Raises:
        OtherAnswersError: The folder is of something else, or another process writes here.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], rank: Rank, *, overwrite: bool = False) -> None:
        self.out, self.rank = out, rank
        if overwrite and rank.count > 1:
            raise OtherAnswersError("--overwrite: ranks would undo each other's work. Remedy: name another --out.")
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        self._file = out / FOLDER / f"rank-{rank.number:05d}-of-{rank.count:05d}.jsonl"
        self._lock = self._locked()
        if overwrite:
            for path in (out / SETTINGS, out / predictions.NAME, *(out / FOLDER).glob("*.jsonl")):
                path.unlink(missing_ok=True)
        try:
            self._require_same(settings)
        except BaseException:
            self.close()
            raise

    def answered(self) -> dict[TaskId, Answer]:
        """Returns all answers that are there, whoever wrote them."""
        if (self.out / predictions.NAME).is_file():
            return predictions.answers_of(predictions.read_predictions(self.out))
        rows = [row for path in sorted((self.out / FOLDER).glob("*.jsonl")) for row in json_lines(path)]
        found: dict[TaskId, Answer] = {}
        for row in rows:
            likelihood = row.pop("likelihood")
            answer = Answer(**row, likelihood=None if likelihood is None else Likelihood(**likelihood))
            found.setdefault(answer.id, answer)
        return found

    def add(self, answers: Iterable[Answer]) -> None:
        """Keeps answers, each whole or not at all."""
        append(self._file, [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers])

    def mine(self, tasks: Sequence[Task], batch: int) -> list[list[Task]]:
        """Returns the batches that are this rank's and not answered yet.

        Args:
            tasks: All tasks.
            batch: Tasks in a batch: the same ones, whatever was answered before, so that their answers are the same.
        """
        batches = [list(tasks[start : start + batch]) for start in range(0, len(tasks), batch)]
        known = self.answered()
        own = batches[self.rank.number :: self.rank.count]
        return [each for each in own if any(task.id not in known for task in each)]

    def wait(self, tasks: Sequence[Task]) -> dict[TaskId, Answer]:
        """Waits until all ranks have answered.

        Args:
            tasks: All tasks.

        Raises:
            RanksStalledError: Nothing has come for half an hour.
        """
        before, since = -1, time.monotonic()
        while True:
            known = self.answered()
            missing = sum(task.id not in known for task in tasks)
            if not missing:
                return known
            if len(known) != before:
                before, since = len(known), time.monotonic()
            elif time.monotonic() - since > _STALLED_SECONDS:
                raise RanksStalledError(
                    f"{missing} of {len(tasks)} answers are missing, and for half an hour no rank has written one to "
                    f"{self.out / FOLDER}. Remedy: see the other ranks' logs; the same command goes on."
                )
            time.sleep(_POLL_SECONDS)

    def close(self, *, finished: bool = False) -> None:
        """Lets others write.

        Args:
            finished: Whether predictions.jsonl has all answers, so that these may go.
        """
        os.close(self._lock)
        if finished:
            shutil.rmtree(self.out / FOLDER, ignore_errors=True)

    def _locked(self) -> int:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OtherAnswersError(
                f"{self.out}: another process writes its answers there. Remedy: wait for it, or name another --out."
            ) from None
        except OSError:  # a file system without locks: nobody can be kept out
            pass
        return descriptor

    def _require_same(self, settings: Mapping[str, Any]) -> None:
        path = self.out / SETTINGS
        if not path.is_file():
            if (self.out / predictions.NAME).is_file():
                raise OtherAnswersError(
                    f"{self.out} holds answers, and no {SETTINGS} says whose. Remedy: another --out, or "
                    "--overwrite true."
                )
            write_text(path, json.dumps(settings, indent=1) + "\n")
            return
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            there = {}
        other = [name for name in settings if there.get(name) != settings[name]]
        if other:
            told = "; ".join(f"{name} {there.get(name)!r}, now {settings[name]!r}" for name in other)
            raise OtherAnswersError(
                f"{self.out} holds other answers ({told}). Remedy: the same again, another --out, or --overwrite true."
            )


def digest_of(tasks: Sequence[Task]) -> str:
    """Returns sixteen digits that differ between two lists of tasks.

    Args:
        tasks: The tasks.
    """
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(json.dumps([*task.id, task.shown, task.prompt, task.reference]).encode() + b"\n")
    return digest.hexdigest()[:16]
