"""Shards that were made enter, the folder that has them all leaves, with its index: what only all show is seen here.

A film that stands under two names would be learned from and tested on: only its first study is kept, and a tar that
held another is written again without it, so that tars and index tell the same. Nothing that was made is changed, so
joining may be killed and done again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.durable import sync
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.contract import SHARD_NAME, ImageRecord, IndexRecord
from cxr_lightning.shards.index import write_index
from cxr_lightning.shards.looks import Look
from cxr_lightning.shards.plan import Plan
from cxr_lightning.shards.rows import Row, ShardRows
from cxr_lightning.shards.twins import find_twins
from cxr_lightning.shards.workshop import Made
from cxr_lightning.shards.writer import Packed, write_shard
from cxr_lightning.study import Split

Duplicates = Literal["leave_out", "keep"]


@dataclass(frozen=True, slots=True)
class Joined:
    """A whole set of shards.

    Attributes:
        index: What its index.json holds.
        twins: Studies whose film another study has too: left out, or kept where that was asked for.
    """

    index: IndexRecord
    twins: tuple[Flaw, ...]


def join(
    plan: Plan,
    made: Sequence[Made],
    tars: Path,
    folder: Path,
    image: ImageRecord,
    duplicates: Duplicates,
    settled: Callable[[Sequence[Flaw]], object],
) -> Joined:
    """Makes one folder of all shards, and its index.

    Args:
        plan: The studies.
        made: All shards, in order.
        tars: The folder where they are.
        folder: The folder to fill.
        image: How images are stored.
        duplicates: What becomes of a study with a film that an earlier one has.
        settled: Called with the twins before anything is written; it may refuse.

    Raises:
        ShardError: A patient is in two splits, or a tar cannot be read.
        OSError: The folder cannot be written.
    """
    drop = duplicates == "leave_out"
    found = find_twins(made, tars, drop=drop)
    twins = tuple(_twin(plan, number, first, duplicates) for number, first in found.first.items())
    settled(twins)
    shards: list[ShardRows] = []
    numbers: Counter[Split] = Counter()
    for each, rows in zip(made, found.marks, strict=True):
        ((split, kept),) = each.shard.rows.items()
        dropped = rows if drop else np.zeros_like(rows)
        if len(kept) == dropped.sum():
            continue  # a shard of which nothing is left leaves no hole in the numbers
        target = folder / SHARD_NAME.format(split=split, number=numbers[split])
        numbers[split] += 1
        shards.append(_without(tars, target, each.shard, dropped) if dropped.any() else _as_made(tars, target, each))
    return Joined(write_index(folder, shards, image), twins)


def _twin(plan: Plan, number: int, first: int, duplicates: Duplicates) -> Flaw:
    (job,), (other,) = plan.jobs(number, number + 1), plan.jobs(first, first + 1)
    left = "it is left out" if duplicates == "leave_out" else "it is kept, as asked"
    return Flaw(job.where, "same film twice", f"{other.where} has a film of the same pixels; {left}", bad=False)


def _as_made(tars: Path, target: Path, made: Made) -> ShardRows:
    try:
        os.link(tars / made.shard.name, target)  # a second name costs nothing, and joining can be done again
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(tars / made.shard.name, target)
        sync(target)
    return replace(made.shard, name=target.name)


def _without(tars: Path, target: Path, shard: ShardRows, dropped: NDArray[np.bool_]) -> ShardRows:
    ((split, rows),) = shard.rows.items()
    return write_shard(target, split, _read_again(tars / shard.name, [Row(*row) for row in rows[~dropped].tolist()]))


def _read_again(tar: Path, rows: Sequence[Row]) -> Iterator[Packed]:
    with tar.open("rb") as file:
        for row in rows:
            file.seek(row.offset)
            look: Look = tuple(row.look)  # type: ignore[assignment]
            yield Packed(
                key=row.key.decode(),
                patient=row.patient.decode(),
                characters=row.characters,
                images=row.images,
                block=file.read(row.size),
                look=look,
            )
