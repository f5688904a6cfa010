"""verdicts.jsonl: every verdict with the judge's raw words, on disk before the next question leaves.

What is in it is never asked again, whatever killed the process; half a line is dropped, and so, with a warning, is one
that is no verdict as this version writes them: its question is asked again. They come as made, in no order, and
a line is for one question: its id says which.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_lightning.endpoint.ledger import Ledger
from cxr_lightning.evaluation.judge.prompts import GRADES

NAME = "verdicts.jsonl"
Line = dict[str, Any]

log = logging.getLogger(__name__)


class Journal(Ledger):
    """The file of verdicts, open for more; no other process may add to it meanwhile.

    Args:
        out: Its folder.

    Attributes:
        known: Verdicts by id of the question; refusals are none, so that they are asked again.

    Raises:
        LedgerBusyError: Another process is writing it.
    """

    def __init__(self, out: Path) -> None:
        super().__init__(out / NAME)
        lines = [line for _, line in self.lines() if "error" not in line]
        self.known: dict[str, Line] = {line["id"]: line for line in lines if _is_verdict(line)}
        spoilt = sum(not _is_verdict(line) for line in lines)
        if spoilt:
            log.warning("%s: %s lines are no verdicts; their questions are asked again.", self.file, spoilt)

    def add(self, line: Mapping[str, Any]) -> int:
        """Adds a verdict, whole or not at all; threads may do so at once.

        Args:
            line: The verdict, with its `id`; with `error` instead if there is none.
        """
        at = super().add(line)
        if at >= 0 and "error" not in line:
            self.known[line["id"]] = dict(line)
        return at


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
