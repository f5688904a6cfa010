"""verdicts.jsonl: every verdict with the judge's raw words, on disk before the next question leaves.

What is in it is never asked again, whatever killed the process; half a line is dropped, and so, with a warning, is one
that is no verdict as this version writes them: its question is asked again. They come as made, in no order, and
a line is for one question: its id says which.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.evaluation.judge.prompts import GRADES
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.shards.durable import append, json_lines, sync

NAME = "verdicts.jsonl"
Line = dict[str, Any]

log = logging.getLogger(__name__)


class Journal:
    """The file of verdicts, open for more; no other process may add to it meanwhile.

    Args:
        out: Its folder.

    Attributes:
        known: Verdicts by id of the question; refusals are none, so that they are asked again.

    Raises:
        JudgeError: Another process is writing it.
    """

    def __init__(self, out: Path) -> None:
        self.file = out / NAME
        self._open, self._adding = True, threading.Lock()
        self._descriptor = os.open(self.file, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise JudgeError(f"{self.file} is being written by another process. Remedy: wait for it.") from None
        except OSError:
            pass  # a file system without locks: nobody can be kept out
        lines = [line for line in json_lines(self.file) if "error" not in line]
        self.known: dict[str, Line] = {line["id"]: line for line in lines if _is_verdict(line)}
        spoilt = sum(not _is_verdict(line) for line in lines)
        if spoilt:
            log.warning("%s: %s lines are no verdicts; their questions are asked again.", self.file, spoilt)

    def __enter__(self) -> Self:
        """Returns the journal."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Lets others write."""
        self.close()

    def add(self, line: Line) -> None:
        """Adds a verdict, whole or not at all; threads may do so at once.

        Args:
            line: The verdict, with its `id`; with `error` instead if there is none.
        """
        with self._adding:
            if not self._open:  # an answer that came after the end
                return
            append(self.file, [json.dumps(line)])  # in ASCII: some letters that a judge may say end a line
            if "error" not in line:
                self.known[line["id"]] = line

    def close(self) -> None:
        """Waits until all is on disk, and lets others write."""
        with self._adding:
            self._open = False
            sync(self.file)
            os.close(self._descriptor)


def _is_verdict(line: Line) -> bool:
    """Tells whether a line holds what is counted, so that an edited or damaged one costs a question and no more."""
    replies, verdict = line.get("replies"), line.get("verdict", "")
    return (
        all(isinstance(line.get(name), str) for name in ("id", "kind", "key"))
        and isinstance(replies, list)
        and bool(replies)
        and all(isinstance(each, str) for each in replies)
        and isinstance(line.get("finish"), str | None)
        and all(_is_amount(line.get(name)) for name in ("asked_tokens", "tokens", "seconds"))
        and (verdict is None or (_is_grades(verdict) if line["kind"] == "rubric" else verdict in ("A", "B", "tie")))
    )


def _is_grades(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), int) and value[name] in range(1, 6) for name in GRADES
    )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
