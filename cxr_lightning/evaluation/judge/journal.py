"""verdicts.jsonl: every verdict with the judge's raw words, on disk before the next question leaves.

What is in it is never asked again, whatever killed the process; half a line is dropped. Verdicts come as they are made,
in no order, and a line is for one question: its id says which.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.shards.durable import append, json_lines, sync

NAME = "verdicts.jsonl"
Line = dict[str, Any]


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
        self.known: dict[str, Line] = {
            line["id"]: line for line in json_lines(self.file) if "id" in line and "error" not in line
        }

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
