"""What `cxr reports` says: how far it has come while it works, and what came of it when it is done. Never a text."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.progress import Rate
from cxr_lightning.reports.unheaded import recurring

if TYPE_CHECKING:
    from cxr_lightning.reports.extraction import Batch

log = logging.getLogger(__name__)
_LINE_EVERY_S = 60.0
_SHARES = (("fewest", 0.0), ("5 %", 0.05), ("median", 0.5), ("95 %", 0.95), ("most", 1.0))


def watched(batches: Iterable[Batch], console: Console, total: int | None) -> Iterator[Batch]:
    """Show how many reports are done, and how fast: a bar on a terminal, a line a minute in a log.

    Args:
        batches: What is done.
        console: Where.
        total: How many reports there will be at most, where that is known.

    Yields:
        The batches.
    """
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} reports"),
        Rate(minutes=True),
        TimeElapsedColumn() if total is None else TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    done, begun = 0, time.monotonic()
    told = begun
    with bar:
        task = bar.add_task("reading", total=total)
        for batch in batches:
            yield batch
            done += len(batch.lines)
            bar.update(task, completed=done)
            now = time.monotonic()
            if not console.is_terminal and now - told > _LINE_EVERY_S:
                log.info("%s reports, %s a minute", f"{done:,}", f"{done / (now - begun) * 60:,.0f}")
                told = now
        bar.update(task, total=done)


def show(total: Batch, flaws: Counter[str], console: Console, out: Path) -> None:
    """Tell what came of an archive: counts, never a text or a name.

    Args:
        total: The counts of all batches.
        flaws: What made no study, by kind.
        console: Where to.
        out: The file that was written.
    """
    read, kept = sum(total.reasons.values()), total.reasons[""]
    console.print(f"{out}: {read:,} {'report' if read == 1 else 'reports'}, {kept:,} kept ({_percent(kept, read)})")
    left = Table("left out", "reports", "of all", title="Left out", title_justify="left")
    for reason, count in total.reasons.most_common():
        if reason:
            left.add_row(reason, f"{count:,}", _percent(count, read))
    for kind, count in flaws.most_common():
        left.add_row(f"no line written: {kind}", f"{count:,}", "")
    if left.row_count:
        console.print(left)
    if total.amended:
        have = "1 report has" if total.amended == 1 else f"{total.amended:,} reports have"
        console.print(
            f"{have} an addendum: sections that it restates stand, its other words are out;"
            " where those correct something, the line says `amended`."
        )
    if strange := recurring(total.unheaded, read):
        names = ", ".join(f"{name} ({count:,})" for name, count in strange)
        console.print(
            f"Headings that are not known, and the reports that have them: {names}. What stands below them stays in "
            "the section before. Remedy: give the sections apart, as a table (docs/sources.md)."
        )
    if kept:
        console.print(_residues(total))
        console.print(_words(total))


def _residues(total: Batch) -> Table:
    table = Table("of the kept texts, still with", "as written", "cleaned", title="Residue", title_justify="left")
    before, after = total.before.shares, total.after.shares
    for kind in before:
        table.add_row(
            kind,
            f"{before[kind]:.2%} ({total.before.found[kind]:,})",
            f"{after[kind]:.2%} ({total.after.found[kind]:,})",
        )
    return table


def _words(total: Batch) -> Table:
    table = Table("words of", *(name for name, _ in _SHARES), title="Words of the kept reports", title_justify="left")
    for name, counts in total.words.items():
        table.add_row(name, *(str(_at(counts, share)) for _, share in _SHARES))
    return table


def _at(counts: Counter[int], share: float) -> int:
    """Returns the word count below which a share of the texts lies."""
    want, seen = max(1, math.ceil(share * sum(counts.values()))), 0
    for words, count in sorted(counts.items()):
        seen += count
        if seen >= want:
            return words
    return 0


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
