"""`metrics.jsonl` and its like: one line a logged step, each step once, also in a run that was killed and went on."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from cxr_lightning.durable import append, write_text

log = logging.getLogger(__name__)


class MetricsError(ValueError):
    """A line of a run's metrics.jsonl, other than its last, is no record of a step."""


class Journal:
    """A file of lines that a full disk may keep waiting: what cannot be written now is written with the next line.

    Args:
        file: Where to.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._waiting: list[str] = []

    def add(self, *lines: str) -> None:
        """Writes lines, and those that wait."""
        begins = not self._waiting
        self._waiting += lines
        if not self._waiting:
            return
        try:
            append(self.file, self._waiting)
        except OSError as error:
            if begins:
                log.warning("%s cannot be written (%s); its lines are kept until it can", self.file, error)
            return
        self._waiting = []


def rewind(file: Path, step: int) -> None:
    """Drops the lines past a step, whole or not at all; see `kept_lines`."""
    write_text(file, "".join(f"{line}\n" for line in kept_lines(file, step)))


def kept_lines(file: Path, step: int) -> list[str]:
    """Returns the lines of a metrics.jsonl that a run keeps when it goes on.

    A kill or a full disk leaves the last line half-written; it is dropped, for its step is trained again.

    Args:
        file: The metrics.jsonl; need not exist.
        step: The step from which the run goes on.

    Raises:
        MetricsError: If a line other than the last is no record of a step.
    """
    if not file.exists():
        return []
    lines = [(n, line) for n, line in enumerate(file.read_text(errors="replace").split("\n"), start=1) if line.strip()]
    kept = []
    for number, line in lines:
        try:
            at = int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError):
            if number == lines[-1][0]:
                log.warning("%s: line %d was cut off and is dropped", file, number)
                continue
            raise MetricsError(
                f"{file}, line {number}: not a record of a step, as `cxr fit` writes them. "
                "Remedy: delete that line (or move the file away, to begin the curve anew), then go on."
            ) from None
        if at <= step:
            kept.append(line)
    return kept
