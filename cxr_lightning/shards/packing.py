"""`cxr pack`: studies of a source enter, a folder of shards with its index leaves, whole or not at all.

Three steps: plan (who goes where), prepare (text and images, in parallel), write (in order, from one process). Bad
studies are skipped, counted and listed; more of them than `--max_bad` allows stop the run, for a set that lost a fifth
of its studies is another set.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cxr_lightning.reports.conversations import Style
from cxr_lightning.reports.sources import Columns, Flaw, open_source
from cxr_lightning.shards.contract import Format, ImageRecord, IndexRecord
from cxr_lightning.shards.identity import DEFAULT_KEY
from cxr_lightning.shards.index import write_index
from cxr_lightning.shards.parallel import in_order
from cxr_lightning.shards.planning import plan
from cxr_lightning.shards.preparation import Job, Recipe, chosen_views, prepare
from cxr_lightning.shards.rows import ShardRows
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.shards.writer import SplitWriter, aside
from cxr_lightning.study import SPLITS

TextOnly = Literal["refuse", "allow"]
log = logging.getLogger(__name__)

MOST_LISTED = 20
_STUDIES_A_WORKER = 64
"""A process starts in half a second; below this many studies each it does not pay."""


class TooManyFlaws(ValueError):
    """More studies are bad than allowed; the message lists them."""


def pack(
    source: str,
    root: Path,
    *,
    out: Path,
    size: int = 512,
    format: Format = "jpg",
    quality: int = 95,
    conversation: Style = "describe",
    columns: Columns = Columns(),  # noqa: B008  (frozen)
    split: Fractions = Fractions(),  # noqa: B008  (frozen)
    samples_per_shard: int = 1000,
    patient_key: str = DEFAULT_KEY,
    keep_study_ids: bool = False,
    text_only: TextOnly = "refuse",
    max_bad: float = 0.01,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Turn studies into WebDataset shards with an index.

    Args:
        source: What kind of data lies under ROOT: table (a JSONL or CSV file with one row a study or an image).
        root: The table, or the folder that holds it; image paths are relative to that folder.
        out: The folder to make. It appears when all is done, or not at all.
        size: Longest side of the stored images in pixels; smaller images stay as they are.
        format: How images are stored: jpg, or png without loss at about four times the bytes.
        quality: JPEG quality, 1 to 100.
        conversation: Instruction turns: describe (one request for the report), or mixed (findings, impression, yes-no).
        columns: What the table's columns are called.
        split: Shares of patients, where the source prescribes no split.
        samples_per_shard: Samples in a full shard.
        patient_key: Key of the hashes that replace patients and studies; give a secret one for patients of yours.
        keep_study_ids: Write each study's own name into its record, where else its hash stands.
        text_only: Whether studies may lack an image (refuse or allow): their cell is empty, or the table has no such
            column. They teach what text alone can. A path that is given and leads nowhere is an error all the same.
        max_bad: Share of studies that may be bad; they are skipped and listed. 0.01 of fewer than 100 studies is none.
        workers: Processes that prepare studies; as many as there are cores and work for if not given.
        overwrite: Replace OUT where it is there.
    """
    console = Console(stderr=True)
    recipe = Recipe(size, format, quality, conversation, keep_study_ids)
    if not 0 <= max_bad <= 1:
        raise ValueError(f"--max_bad {max_bad}: a share, 0 to 1")
    with aside(out, overwrite=overwrite) as folder:
        planned = plan(open_source(source, root, columns, text_only == "allow"), split, patient_key)
        flaws = Flaws(len(planned.jobs) + len(planned.flaws), max_bad)
        flaws.extend(planned.flaws)
        shards = _write(
            planned.jobs, recipe, folder, samples_per_shard, flaws, _workers(workers, len(planned.jobs)), console
        )
        flaws.settle()
        index = write_index(folder, shards, ImageRecord(size=size, format=format))
    _tell(console, out, index, flaws)
    unused = sum(len(job.study.views) - len(chosen_views(job.study.views, format)) for job in planned.jobs)
    _tell_unseen(console, planned.jobs)
    if unused:
        console.print(
            f"{unused} further images of these studies are not stored: a sample has one image and one lateral."
        )


def _tell_unseen(console: Console, jobs: list[Job]) -> None:
    unseen = sum(not job.study.views for job in jobs)
    if unseen:
        console.print(f"{unseen} of {len(jobs)} studies have no image: they teach what text alone can.")


class Flaws:
    """Counts what is left out and says when too much of it is bad.

    Args:
        studies: Number of studies, bad ones included.
        max_bad: Share that may be bad.
    """

    def __init__(self, studies: int, max_bad: float) -> None:
        self.seen: list[Flaw] = []
        self._bad: list[Flaw] = []
        self._studies = studies
        self._allowed = math.floor(studies * max_bad + 1e-9)

    def extend(self, flaws: Iterable[Flaw]) -> None:
        """Count flaws.

        Args:
            flaws: What was found to be bad.

        Raises:
            TooManyFlaws: Too many are bad. Not at the first one too many, but when the list is long enough to act on.
        """
        for flaw in flaws:
            self.seen.append(flaw)
            if flaw.bad:
                self._bad.append(flaw)
            if len(self._bad) > max(self._allowed, MOST_LISTED):
                self.settle()

    def settle(self) -> None:
        """Stop if more is bad than allowed, or if nothing is left.

        Raises:
            TooManyFlaws: It is; the message lists file, line and reason.
        """
        if len(self._bad) > self._allowed:
            raise TooManyFlaws(
                f"{len(self._bad)} of {self._studies} studies cannot be packed, and {self._allowed} may be skipped; "
                f"nothing was written. Mend them, or allow a larger share with --max_bad:{_listed(self._bad)}"
            )
        if len(self.seen) >= self._studies:
            raise TooManyFlaws(
                f"none of {self._studies} studies can be packed; nothing was written:{_listed(self.seen)}"
            )


def _listed(flaws: list[Flaw]) -> str:
    more = f"\n  and {len(flaws) - MOST_LISTED} more" if len(flaws) > MOST_LISTED else ""
    return "".join(f"\n  {flaw.where}: {flaw.reason}" for flaw in flaws[:MOST_LISTED]) + more


def _workers(wanted: int | None, studies: int) -> int:
    if wanted is not None:
        if wanted < 1:
            raise ValueError(f"--workers {wanted}: must be at least 1")
        return wanted
    return max(1, min(len(os.sched_getaffinity(0)), studies // _STUDIES_A_WORKER))


def _write(
    jobs: list[Job], recipe: Recipe, folder: Path, samples_per_shard: int, flaws: Flaws, workers: int, console: Console
) -> list[ShardRows]:
    shards: list[ShardRows] = []
    columns = (TextColumn("packing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("packing", total=len(jobs))
        results = zip(jobs, in_order(functools.partial(prepare, recipe=recipe), jobs, workers), strict=True)
        for name, group in groupby(results, key=lambda pair: pair[0].split):
            with SplitWriter(folder, name, samples_per_shard) as writer:
                for _, result in group:
                    progress.advance(task)
                    if isinstance(result, Flaw):
                        flaws.extend([result])
                    else:
                        writer.write(result)
            shards += writer.shards
    return shards


def _tell(console: Console, out: Path, index: IndexRecord, flaws: Flaws) -> None:
    table = Table(
        "split", "samples", "patients", "shards", "MiB", title=f"{out}  fingerprint {index['fingerprint'][:12]}"
    )
    for split in SPLITS:
        mine = [shard for shard in index["shards"] if split in shard["samples"]]
        counts = index["splits"][split]
        size = sum(shard["bytes"] for shard in mine) / 2**20
        table.add_row(split, str(counts["samples"]), str(counts["patients"]), str(len(mine)), f"{size:.1f}")
        if not counts["samples"]:
            log.warning("split '%s' is empty; with few patients, give other shares or a split column", split)
    console.print(table)
    if flaws.seen:
        skipped = Table("skipped", "studies", "first at", "reason")
        counted = Counter(flaw.kind for flaw in flaws.seen)
        for kind, count in counted.most_common():
            first = next(flaw for flaw in flaws.seen if flaw.kind == kind)
            skipped.add_row(kind, str(count), first.where, first.reason)
        console.print(skipped)
