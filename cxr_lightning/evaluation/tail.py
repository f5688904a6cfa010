"""Answers in the files of all ranks, read as they grow: what was read is not read again, however often one looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from cxr_lightning.durable import tables
from cxr_lightning.evaluation.predictions import is_likelihood
from cxr_lightning.evaluation.tasks import Answer, Condition, TaskId
from cxr_lightning.model.likely import Likelihood


class Tail:
    """All answers of a folder.

    Args:
        folder: Where the ranks' files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._known: dict[TaskId, Answer] = {}

    def read(self, *, again: bool = False) -> dict[TaskId, Answer]:
        """Returns all answers that are there, the first one to each task.

        Args:
            again: Read what was read, too.
        """
        if again:
            self._read.clear()
        for file in sorted(self._folder.glob("*.jsonl")):
            for row in tables(self._added(file)):
                answer = _answer_of(row)
                if answer is not None:
                    self._known.setdefault(answer.id, answer)
        return dict(self._known)

    def _added(self, file: Path) -> bytes:
        """Returns the whole lines that a file has more than when it was read last."""
        start = self._read.get(file, 0)
        try:
            with file.open("rb") as opened:
                if opened.seek(0, 2) < start:  # lines that could not be written whole were taken back
                    start = 0
                opened.seek(start)
                content = opened.read()
        except FileNotFoundError:
            return b""
        whole = content[: content.rfind(b"\n") + 1]
        self._read[file] = start + len(whole)
        return whole


def _answer_of(row: dict[str, Any]) -> Answer | None:
    """Returns what a row says; None where it is damaged, for then the question is asked again."""
    likelihood = row.get("likelihood")
    sound = (
        row.keys() == {"key", "condition", "text", "shown", "finish", "tokens", "likelihood"}
        and all(isinstance(row[name], str) for name in ("key", "text", "shown"))
        and row["condition"] in get_args(Condition)
        and isinstance(row["finish"], str | None)
        and isinstance(row["tokens"], int | None)
        and (likelihood is None or is_likelihood(likelihood))
    )
    return Answer(**{**row, "likelihood": likelihood and Likelihood(**likelihood)}) if sound else None
