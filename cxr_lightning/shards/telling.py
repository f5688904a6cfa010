"""What a pack says while it works and when it is done: rates and time left, counts, and what was left out and why."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import filesize
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table

from cxr_lightning.progress import Rate
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.contract import IndexRecord
from cxr_lightning.study import SPLITS

log = logging.getLogger(__name__)
_LINE_EVERY_S = 60.0
STUDIES = "studies"


class Course:
    """How far something long has come: a bar on a terminal, a line a minute in a log.

    Args:
        progress: The bar.
        what: What is done, for the lines.
        total: How many there are; None where nobody knows.
        unit: What is counted; "bytes" are written as people read them.
    """

    def __init__(self, progress: Progress, what: str, total: int | None, unit: str = STUDIES) -> None:
        self._progress, self._what, self._total, self._unit = progress, what, total, unit
        self._task = progress.add_task(what, total=total)
        self._done, self._began = 0, time.monotonic()
        self._line = self._began + _LINE_EVERY_S

    def advance(self, number: int) -> None:
        """Counts more of it.

        Args:
            number: How many are done since the last call.
        """
        self.reach(self._done + number)

    def reach(self, done: int) -> None:
        """Says how many are done.

        Args:
            done: How many.
        """
        self._done = done
        self._progress.update(self._task, completed=done)
        now = time.monotonic()
        if now < self._line or self._progress.console.is_terminal:
            return
        self._line = now + _LINE_EVERY_S
        rate = max(done, 1) / (now - self._began)
        minutes = 0 if self._total is None else (self._total - done) / rate / 60
        left = "" if self._total is None else f" of {self._said(self._total)}, {minutes:.0f} min left"
        told = f"{self._what}: {self._said(done)}{left}, {self._said(rate, '.1f')}/s"
        self._progress.console.print(told, highlight=False, soft_wrap=True)

    def _said(self, number: float, digits: str = "") -> str:
        return filesize.decimal(int(number)) if self._unit == "bytes" else f"{number:{digits}}"


@contextmanager
def course(console: Console, what: str, total: int | None, unit: str = STUDIES) -> Iterator[Course]:
    """Shows how far something long has come.

    Args:
        console: Where.
        what: What is done: "packing".
        total: How many there are; None where nobody knows yet.
        unit: What is counted: "studies", or "bytes".

    Yields:
        What to tell of the progress.
    """
    counted = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(), Rate(unit))
    known = (BarColumn(), *counted, TimeElapsedColumn(), TimeRemainingColumn())
    unknown = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {unit}"), Rate(unit), TimeElapsedColumn())
    columns = (TextColumn("{task.description}"), *(unknown if total is None else known))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Course(progress, what, total, unit)


def tell_index(console: Console, out: Path, index: IndexRecord) -> None:
    """Prints what a set of shards holds.

    Args:
        console: Where.
        out: Its folder.
        index: What its index.json holds.
    """
    title = f"{escape(str(out))}  fingerprint {index['fingerprint'][:12]}"
    table = Table("split", "samples", "patients", "shards", "MiB", title=title)
    for split in SPLITS:
        mine = [shard for shard in index["shards"] if split in shard["samples"]]
        counts = index["splits"][split]
        size = sum(shard["bytes"] for shard in mine) / 2**20
        table.add_row(split, str(counts["samples"]), str(counts["patients"]), str(len(mine)), f"{size:.1f}")
        if not counts["samples"]:
            log.warning("split '%s' is empty; with few patients, give other shares or a split column", split)
    console.print(table)


def tell_flaws(console: Console, flaws: Sequence[Flaw], listed: Path) -> None:
    """Prints what was left out, counted by kind, each with its first place.

    Args:
        console: Where.
        flaws: What was left out.
        listed: The file that lists all of it.
    """
    if not flaws:
        return
    places, reasons = (Column(name, overflow="fold") for name in ("first at", "reason"))
    skipped = Table("left out, or told", "studies", places, reasons)
    first = {flaw.kind: flaw for flaw in reversed(flaws)}
    for kind, count in Counter(flaw.kind for flaw in flaws).most_common():
        skipped.add_row(kind, f"{count}", escape(first[kind].where), escape(first[kind].reason))
    console.print(skipped)
    console.print(f"All of them, with their places: {listed}", markup=False, soft_wrap=True)


def tell_key(console: Console) -> None:
    """Warns of patients whose hashes anyone can look up.

    Args:
        console: Where.
    """
    console.print(
        "Patients are hashed with the public key, so whoever can list their numbers can look them up. Make a key of "
        "your own: openssl rand -hex 24 > FILE; chmod 600 FILE; and give --patient_key_file FILE",
        style="yellow",
    )


def tell_views(console: Console, unknown: int, samples: int) -> None:
    """Warns of primary images that may be lateral films.

    Args:
        console: Where.
        unknown: Of how many of them nobody says how they were taken.
        samples: How many samples there are.
    """
    if not unknown:
        return
    console.print(
        f"The view of {unknown} of {samples} primary images is unknown: some may be lateral films, and prompts do not "
        "say which. Open-i's views stand in indiana_projections.csv (docs/sources.md), a table's in --columns.view",
        style="yellow",
    )


def tell_identifiers(console: Console, identifiers: Counter[str], samples: int) -> None:
    """Warns of words in the texts that may name someone; which words, `cxr inspect` does not print either.

    Args:
        console: Where.
        identifiers: How many samples hold each kind.
        samples: How many samples there are.
    """
    if not identifiers:
        return
    told = ", ".join(f"{kind} in {count}" for kind, count in identifiers.most_common())
    console.print(
        f"Texts that may name someone: {told}, of {samples} samples. Look at them (cxr inspect says which), or leave "
        "them out: --identifiers leave_out",
        style="yellow",
    )
