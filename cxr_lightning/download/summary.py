"""What is told before and after: how much is to come, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cxr_lightning.download.catalogue import KINDS, Dataset, Kind
from cxr_lightning.download.crew import Tally
from cxr_lightning.download.listing import Item

MOST_LISTED = 10


def size(count: float) -> str:
    """Returns bytes as people say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def show_plan(console: Console, dataset: Dataset, items: Sequence[Item], lacking: Sequence[Item]) -> None:
    """Says what is wanted and what of it lacks.

    Args:
        console: Where to.
        dataset: Which knows about how large files are.
        items: What is wanted.
        lacking: What of it must be looked at or fetched.
    """
    table = Table("", "files", "to fetch or check", "about", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in KINDS:
        wanted, lack = (_of(kind, some) for some in (items, lacking))
        if wanted:
            table.add_row(kind, f"{len(wanted):,}", f"{len(lack):,}", size(_guess(dataset, lack)))
    table.add_row("all", f"{len(items):,}", f"{len(lacking):,}", size(_guess(dataset, lacking)), style="bold")
    console.print(table)


def show_tally(console: Console, tally: Tally, items: Sequence[Item]) -> None:
    """Says what became of it.

    Args:
        console: Where to.
        tally: What did.
        items: What was wanted.
    """
    table = Table("", "there already", "fetched", "lost", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in KINDS:
        lost = sum(item.name in tally.lost for item in _of(kind, items))
        if _of(kind, items):
            table.add_row(kind, f"{tally.had[kind]:,}", f"{tally.came[kind]:,}", f"{lost:,}")
    console.print(table)
    rate = f", {size(tally.bytes / tally.seconds)}/s" if tally.seconds > 1 else ""
    console.print(f"{size(tally.bytes)} received{rate}")


def loss(tally: Tally, out: Path, listed: Path) -> str:
    """Returns what to tell of what was lost.

    Args:
        tally: What became of the files.
        out: The folder.
        listed: The file that lists all of them.
    """
    told = [f"  {name}: {why}" for name, why in list(tally.lost.items())[:MOST_LISTED]]
    more = len(tally.lost) - len(told)
    return "\n".join(
        [f"{out}: {len(tally.lost):,} not fetched:", *told]
        + ([f"  and {more:,} more, all of them in {listed}"] if more else [])
        + ["Remedy: the same command again fetches what lacks"]
    )


def _of(kind: Kind, items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.kind == kind]


def _guess(dataset: Dataset, items: Sequence[Item]) -> int:
    return sum(dataset.guess(item.name) for item in items)
