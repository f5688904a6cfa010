"""RUN/attempts.jsonl: every start of a run that came as far as training, and how it ended if it could still say so.

From it a job knows whether to go back into the queue: an attempt that saved nothing new will hardly do so next time.
"""

from __future__ import annotations

import json
import logging
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoint.runs import newest_checkpoint, step_of
from cxr_lightning.durable import append, json_lines

log = logging.getLogger(__name__)

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


def gained(run: Path, job: str, restart: int) -> bool:
    """Returns whether an attempt of a job saved anything new."""
    mine = [each for each in attempts(run) if (each.job, each.restart) == (job, restart)]
    return bool(mine) and saved(run) > mine[-1].step


def requeued(run: Path, job: str, restart: int) -> None:
    """Writes down that a job went back into the queue after a crash, and what had been saved by then."""
    gain = gained(run, job, restart)
    _append(run, {"event": "requeued", "job": job, "saved": saved(run), "gained": gain})


def barren_crashes(run: Path, job: str, restart: int) -> int:
    """Returns how many crashes in a row saved nothing, this one included; what Slurm itself ended is none of them."""
    reached = saved(run)
    earlier = [each for each in _lines(run, "requeued") if each.get("job") == job and each.get("saved") == reached]
    return sum(not each.get("gained") for each in earlier) + (not gained(run, job, restart))


def attempts(run: Path) -> list[Attempt]:
    """Returns all attempts, oldest first."""
    found: list[Attempt] = []
    for told in _lines(run, "began", "ended"):
        if told.pop("event") == "began":
            found.append(Attempt(**told))
        elif found:
            found[-1] = Attempt(**{**asdict(found[-1]), "reason": told["reason"]})
    return found


def fruitless(run: Path) -> int:
    """Returns how many attempts in a row, up to the last, left no newer checkpoint than they began with."""
    reached, count = saved(run), 0
    for attempt in reversed(attempts(run)):
        if reached > attempt.step:
            break
        count, reached = count + 1, attempt.step
    return count


def saved(run: Path) -> int:
    """Returns the step of a run's newest checkpoint; 0 where there is none."""
    newest = newest_checkpoint(run)
    return 0 if newest is None else step_of(newest)


def _lines(run: Path, *events: str) -> list[dict[str, Any]]:
    return [told for told in json_lines(run / NAME) if told.get("event") in events]


def _append(run: Path, line: dict[str, Any]) -> None:
    """Adds a line; that it cannot be written (a full disk) is told and must not hide what is being written down."""
    try:
        append(run / NAME, [json.dumps(line)])
    except OSError as error:
        log.warning("%s was not written: %s", run / NAME, error)
