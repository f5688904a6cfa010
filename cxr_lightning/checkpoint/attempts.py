"""RUN/attempts.jsonl: every start of a run that came as far as training, and how it ended if it could still say so.

From it a job knows whether to go back into the queue: an attempt that saved nothing new will hardly do so next time.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoint.runs import newest_checkpoint, step_of

NAME = "attempts.jsonl"
FORGIVEN = 1
"""Attempts in a row that may save nothing new: the first may have been a bad node, the second is a crash loop."""


@dataclass(frozen=True)
class Attempt:
    """One start.

    Attributes:
        step: Where it began.
        job: The Slurm job, or empty.
        restart: How often that job had been requeued.
        began: When.
        host: Node of rank 0.
        reason: Why it ended; empty where it could not say.
    """

    step: int
    job: str = ""
    restart: int = 0
    began: str = ""
    host: str = ""
    reason: str = ""


def begin(run: Path, step: int, job: str = "", restart: int = 0) -> None:
    """Writes down that training begins."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _append(run, {"event": "began", **asdict(Attempt(step, job, restart, now, socket.gethostname()))})


def end(run: Path, reason: str) -> None:
    """Writes down how the last attempt ended."""
    if (run / NAME).exists():
        _append(run, {"event": "ended", "reason": reason, "at": datetime.now(UTC).isoformat(timespec="seconds")})


def attempts(run: Path) -> list[Attempt]:
    """Returns all attempts, oldest first."""
    found: list[Attempt] = []
    lines = (run / NAME).read_text().splitlines() if (run / NAME).exists() else []
    for line in lines:
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:  # half a line: the node died in it
            continue
        event = told.pop("event", "")
        if event == "began":
            found.append(Attempt(**told))
        elif event == "ended" and found:
            found[-1] = Attempt(**{**asdict(found[-1]), "reason": told["reason"]})
    return found


def fruitless(run: Path) -> int:
    """Returns how many attempts in a row, up to the last, left no newer checkpoint than they began with."""
    newest = newest_checkpoint(run)
    reached = 0 if newest is None else step_of(newest)
    count = 0
    for attempt in reversed(attempts(run)):
        if reached > attempt.step:
            break
        count, reached = count + 1, attempt.step
    return count


def _append(run: Path, line: dict[str, Any]) -> None:
    with (run / NAME).open("a") as file:
        print(json.dumps(line), file=file)
