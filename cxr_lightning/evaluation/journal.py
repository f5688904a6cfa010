"""Answers as they come, on disk at once: what is killed goes on where it stopped, and ranks share the work by files.

OUT/evaluation.json   whose answers to what these are; anything else is refused
OUT/answers/*.jsonl   the answers of each rank, until all are there; then predictions.jsonl has them
OUT/.lock             held while somebody writes here (`holding.py`)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.durable import append, write_text
from cxr_lightning.evaluation import predictions
from cxr_lightning.evaluation.holding import OtherAnswersError, Presence, hold
from cxr_lightning.evaluation.rank import Rank
from cxr_lightning.evaluation.tail import Tail
from cxr_lightning.evaluation.tasks import Answer, Task, TaskId

__all__ = ["Journal", "OtherAnswersError", "Rank", "RanksStalledError", "digest_of"]

log = logging.getLogger(__name__)
SETTINGS = "evaluation.json"
FOLDER = "answers"
_POLL_SECONDS = 2.0
_SURE_SECONDS = 10.0
"""How long a rank is dead before that is believed: on network file systems its last answers come late."""
_STALLED_SECONDS = 1800.0
_ENTRIES = 5


class RanksStalledError(ValueError):
    """Other ranks have died, or have stopped answering."""


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
        out.mkdir(parents=True, exist_ok=True)
        self._lock = hold(out, rank)
        self._presence: Presence | None = None
        self._tail = Tail(out / FOLDER)
        self._finished: dict[TaskId, Answer] | None = None
        self._missing: set[TaskId] | None = None
        self._left_out = False
        self._file = out / FOLDER / f"{rank.name}.jsonl"
        try:
            if overwrite:
                self._forget()
            self._require_same(settings)
            self._presence = self._present()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Returns the journal."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Lets others write."""
        self.close()

    def answered(self, *, again: bool = False) -> dict[TaskId, Answer]:
        """Returns all answers that are there, whoever wrote them.

        Args:
            again: Read what was read, too.
        """
        known = self._tail.read(again=again)
        # After that: the first rank writes what it has of these, and only then removes them.
        if again or self._finished is None:
            there = (self.out / predictions.NAME).is_file()
            self._finished = predictions.answers_of(predictions.read_predictions(self.out)) if there else {}
        return {**known, **self._finished}

    def add(self, answers: Iterable[Answer]) -> None:
        """Keeps answers, each whole or not at all."""
        said = list(answers)
        sound = [_finite(answer) for answer in said]
        if not self._left_out and any(one is not other for one, other in zip(said, sound, strict=True)):
            self._left_out = True
            log.warning("Likelihoods of references are not finite, as of numbers that overflow; they are left out.")
        append(self._file, [json.dumps(asdict(answer)) for answer in sound])
        if self._missing is not None:
            self._missing.difference_update(answer.id for answer in sound)
        if self._presence is not None and not self.rank.number:
            self._presence.dead()  # whose lock is held now is known to have begun

    def mine(self, tasks: Sequence[Task], batch: int) -> list[list[Task]]:
        """Returns the batches that are this rank's and not answered yet.

        Args:
            tasks: All tasks.
            batch: Tasks in a batch: the same ones, whatever was answered before, so that their answers are the same.
        """
        batches = [list(tasks[start : start + batch]) for start in range(0, len(tasks), batch)]
        known = self.answered()
        own = batches[self.rank.number :: self.rank.count]
        todo = [each for each in own if any(task.id not in known for task in each)]
        self._missing = {task.id for each in todo for task in each}
        return todo

    def wait(self, tasks: Sequence[Task]) -> dict[TaskId, Answer]:
        """Waits until all ranks have answered.

        Args:
            tasks: All tasks.

        Raises:
            RanksStalledError: A rank died with answers missing, or nothing has come for half an hour.
        """
        before, since, sound = -1, time.monotonic(), time.monotonic()
        while True:
            known, now = self.answered(), time.monotonic()
            dead = self._presence.dead() if self._presence else []
            if len(known) != before:
                before, since, sound = len(known), now, now
            sound = sound if dead else now
            trouble = now - sound > _SURE_SECONDS or now - since > _STALLED_SECONDS
            known = self.answered(again=True) if trouble else known
            missing = sum(task.id not in known for task in tasks)
            if not missing:
                return known
            if trouble:
                raise RanksStalledError(self._told(missing, len(tasks), dead))
            time.sleep(_POLL_SECONDS)

    def finish(self) -> None:
        """Removes the ranks' answers, now that predictions.jsonl has all; nobody else may write yet."""
        shutil.rmtree(self.out / FOLDER, ignore_errors=True)

    def close(self, *, finished: bool = False) -> None:
        """Lets others write; a second time it does nothing.

        Args:
            finished: Whether predictions.jsonl has all answers, so that these may go.
        """
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.end(done=self._missing is not None and not self._missing)
        if finished:
            self.finish()
        elif presence is not None and (self.out / predictions.NAME).is_file():  # a rank that came after the end
            presence.forget()
        self._lock.close()

    def _present(self) -> Presence:
        """Enters the ranks' folder, again where the first rank just removed it because all is answered."""
        for _ in range(_ENTRIES):
            (self.out / FOLDER).mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                return Presence(self.out / FOLDER, self.rank)
        raise OtherAnswersError(f"{self.out / FOLDER} goes whenever it is made. Remedy: see who removes it.")

    def _forget(self) -> None:
        """Removes all that an evaluation leaves."""
        for name in (*predictions.RESULTS, predictions.NAME, SETTINGS):
            (self.out / name).unlink(missing_ok=True)
        shutil.rmtree(self.out / FOLDER, ignore_errors=True)

    def _begun(self) -> bool:
        """Tells whether there is an answer."""
        answers = (self.out / FOLDER).glob("*.jsonl")
        return (self.out / predictions.NAME).is_file() or any(path.stat().st_size for path in answers)

    def _told(self, missing: int, of: int, dead: Sequence[Rank]) -> str:
        ranks = ", ".join(str(rank.number) for rank in dead)
        who = f"rank {ranks} of {self.rank.count} ended before it had answered"
        if not dead:
            who = f"for half an hour no rank has written one to {self.out / FOLDER}"
        return (
            f"{missing} of {of} answers are missing, and {who}. Remedy: see the other ranks' logs; the same command "
            "goes on."
        )

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
        there = there if isinstance(there, dict) else {}
        other = [name for name in settings if there.get(name) != settings[name]]
        if other and not self._begun():  # a try that came to nothing stands in nobody's way
            write_text(path, json.dumps(settings, indent=1) + "\n")
        elif other:
            told = "; ".join(f"{name} {there.get(name)!r}, now {settings[name]!r}" for name in other)
            raise OtherAnswersError(
                f"{self.out} holds other answers ({told}). Remedy: the same again, another --out, or --overwrite true."
            )


def _finite(answer: Answer) -> Answer:
    """Returns an answer without a likelihood that is no number."""
    if answer.likelihood is None or math.isfinite(answer.likelihood.nats):
        return answer
    return replace(answer, likelihood=None)


def digest_of(tasks: Sequence[Task]) -> str:
    """Returns sixteen digits that differ between two lists of tasks.

    Args:
        tasks: The tasks.
    """
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(json.dumps([*task.id, task.shown, task.prompt, task.reference]).encode() + b"\n")
    return digest.hexdigest()[:16]
