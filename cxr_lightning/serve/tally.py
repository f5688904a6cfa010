"""How far describing has come: a bar where there are eyes, a line at times where there is a log; a table at the end.

Bad films are counted against a share, as `cxr pack` does: a wrong folder is told early, a bad file is a row.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.serve.asking import Answered

log = logging.getLogger(__name__)
MOST_LISTED = 20
_TELL_SECONDS = 30.0


class TooManyBadError(ValueError):
    """More films could not be answered about than is allowed."""


class Tally:
    """Counts what became of cases.

    Args:
        total: Cases in all, those answered before included.
        before: Cases answered before.
        max_bad: Share of all cases that may be bad.
        out: The file of answers, for messages.
    """

    def __init__(self, total: int, before: int, max_bad: float, out: Path) -> None:
        self._total, self._before, self._out = total, before, out
        self._allowed = math.floor(total * max_bad + 1e-9)
        self._answered = self._cut = self._silent = self._tokens = 0
        self._bad: list[str] = []
        self._begun = time.monotonic()

    def shown(self, answered: Iterable[Answered], console: Console) -> Iterator[Answered]:
        """Passes on what comes, showing how far it is.

        Args:
            answered: What became of cases.
            console: Where to show it.
        """
        columns = (
            TextColumn("describing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[bad]}"),
        )  # fmt: skip
        told = time.monotonic()
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("describing", total=self._total, completed=self._before, bad="")
            for each in answered:
                self._count(each)
                progress.update(task, advance=1, bad=f"[red]{len(self._bad)} bad" if self._bad else "")
                if not console.is_terminal and time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    log.info("%s of %s described, %s bad", self.done, self._total, len(self._bad))
                yield each

    @property
    def done(self) -> int:
        """How many cases are behind us, those before and bad ones included."""
        return self._before + self._answered + len(self._bad)

    def require_few_bad(self, *, ended: bool = False) -> None:
        """Stops where more are bad than allowed: at once when the list is long enough to act on, else at the end.

        Args:
            ended: Whether all are done.

        Raises:
            TooManyBadError: They are; the message lists them.
        """
        bad = len(self._bad)
        if bad <= self._allowed or not (ended or bad > max(self._allowed, MOST_LISTED)):
            return
        more = f"\n  and {bad - MOST_LISTED} more" if bad > MOST_LISTED else ""
        listed = "".join(f"\n  {error}" for error in self._bad[:MOST_LISTED]) + more
        raise TooManyBadError(
            f"{bad} of {self._total} could not be described, and {self._allowed} may be bad. What was answered is in "
            f"{self._out}; the same command tries the rest again. Remedy: mend them, or raise --max_bad:{listed}"
        )

    def table(self) -> Table:
        """Returns the summary."""
        seconds = time.monotonic() - self._begun
        table = Table(title=str(self._out), title_justify="left", show_header=False)
        for name, value in (
            ("answered", str(self._answered)),
            ("answered before", str(self._before) if self._before else ""),
            ("could not be", str(len(self._bad)) if self._bad else ""),
            ("cut off at --max_new_tokens", str(self._cut) if self._cut else ""),
            ("empty answers", str(self._silent) if self._silent else ""),
            ("tokens", f"{self._tokens:,}" if self._tokens else ""),
            ("time", f"{seconds:.0f} s, {self._answered / max(seconds, 1e-9):.2f} a second"),
        ):
            if value:
                table.add_row(name, value)
        return table

    def _count(self, answered: Answered) -> None:
        reply = answered.reply
        if reply is None:
            self._bad.append(str(answered.error))
            return
        self._answered += 1
        self._tokens += reply.tokens or 0
        self._cut += reply.finish == "length"
        self._silent += not reply.text
