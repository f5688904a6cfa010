"""A plan on disk: which studies there are to pack, which shards they make, and what each shard would be made from.

Studies stand in the order of their keys, which are hashes: shards are mixed however an archive was sorted, and the same
studies give the same tars in whatever order they came. A shard is so many consecutive studies of a split, whatever
becomes of them: so each can be made by itself, on any machine, and again after a kill, with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.reports.conversations.frequencies import Shares
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.contract import SHARD_NAME
from cxr_lightning.shards.preparation import Job
from cxr_lightning.shards.spool import read_at
from cxr_lightning.study import SPLITS, Split

PLAN, STUDIES, ORDER = "plan.json", "studies.jsonl", "order.npy"
NONE = -1
"""Where a place would stand: there is none."""


class Entry(NamedTuple):
    """One study of a plan, as it lies in order.npy.

    Attributes:
        key: Its hashed name.
        patient: Its hashed patient.
        split: Its split's place in `SPLITS`.
        offset: Where its line begins in studies.jsonl.
        prior: Where the line of the patient's study before it begins; -1 where there is none.
    """

    key: bytes
    patient: bytes
    split: int
    offset: int
    prior: int


ENTRY = np.dtype([("key", "S24"), ("patient", "S24"), ("split", "u1"), ("offset", "<i8"), ("prior", "<i8")])


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to be made.

    Attributes:
        name: The tar's file name.
        split: Its split.
        start: Its first study's number in the plan.
        stop: The number after its last one's.
    """

    name: str
    split: Split
    start: int
    stop: int


class Inputs(NamedTuple):
    """What a shard is made from: with other texts or image files it is another shard.

    Attributes:
        texts: Digest of its studies, their reports and what conversations are balanced by.
        films: Digest of sizes and times of its image files, so that one that has changed, or come, is noticed.
    """

    texts: str
    films: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be packed.

    Attributes:
        folder: Where the plan lies.
        order: Its studies as `Entry`s, split by split.
        shards: The shards to be made of them.
        flaws: What the source could not make a study of.
        unseen: How many studies have no image.
        unused: How many of their images no sample stores.
        shares: How common findings are among the studies; None where that was not asked, or they are too few.
        stamp: Of the tables that it was made from.
        summarised: Whether summaries were given.
        drawn: Whether all studies are phantoms, who have nothing to hide.
    """

    folder: Path
    order: NDArray[np.void]
    shards: tuple[PlannedShard, ...]
    flaws: tuple[Flaw, ...]
    unseen: int
    unused: int
    shares: Shares | None
    stamp: str
    summarised: bool
    drawn: bool

    @property
    def studies(self) -> int:
        """How many studies were found, those that cannot be used included; what is only told of a study is none."""
        return len(self.order) + sum(flaw.bad for flaw in self.flaws)

    def jobs(self, start: int, stop: int) -> Iterator[Job]:
        """Reads studies.

        Args:
            start: The first one's number.
            stop: The number after the last one's.
        """
        with (self.folder / STUDIES).open("rb") as file:
            for number in range(start, stop):
                entry = Entry(*self.order[number].tolist())
                found = read_at(file, entry.offset)
                yield Job(
                    number=number,
                    study=found.study,
                    where=found.where,
                    key=entry.key.decode(),
                    patient=entry.patient.decode(),
                    split=SPLITS[entry.split],
                    prior=None if entry.prior == NONE else read_at(file, entry.prior).study,
                )

    def inputs_of(self, shard: PlannedShard) -> Inputs:
        """Digests all that a shard is made of.

        Args:
            shard: The shard.
        """
        texts, films = hashlib.sha256(json.dumps(self.shares, sort_keys=True).encode()), hashlib.sha256()
        with (self.folder / STUDIES).open("rb") as file:
            for entry in (Entry(*row) for row in self.order[shard.start : shard.stop].tolist()):
                texts.update(entry.key + entry.patient)
                for offset in (entry.offset, entry.prior):
                    if offset != NONE:
                        file.seek(offset)
                        texts.update(file.readline())
                for view in read_at(file, entry.offset).study.views:
                    films.update(_stamp(view.path))
        return Inputs(texts.hexdigest(), films.hexdigest())


def _stamp(path: Path) -> bytes:
    try:
        seen = path.stat()
    except OSError:
        return b"-\n"
    return f"{seen.st_size} {seen.st_mtime_ns}\n".encode()


def command_of(folder: Path) -> str | None:
    """Says which command a folder's plan was made for.

    Args:
        folder: A folder.

    Returns:
        The digest that `write_plan` got; None where no plan is.
    """
    try:
        return str(json.loads((folder / PLAN).read_text())["command"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def read_plan(folder: Path) -> Plan:
    """Opens a plan; its studies stay on disk.

    Args:
        folder: Where `write_plan` put it.
    """
    seen = (folder / PLAN).stat()
    return _opened(folder, seen.st_ino, seen.st_mtime_ns)


@lru_cache(maxsize=1)
def _opened(folder: Path, inode: int, written: int) -> Plan:
    """Opens a plan; once in each process, unless another has taken its place."""
    table: dict[str, Any] = json.loads((folder / PLAN).read_text())
    order: NDArray[np.void] = np.load(folder / ORDER, mmap_mode="r", allow_pickle=False)
    flaws = tuple(Flaw(**flaw) for flaw in table["flaws"])
    shards = tuple(_shards(order["split"], table["samples_per_shard"]))
    shares = table["shares"] and {name: (there, absent) for name, (there, absent) in table["shares"].items()}
    told = {name: table[name] for name in ("unseen", "unused", "stamp", "summarised", "drawn")}
    return Plan(folder=folder, order=order, shards=shards, flaws=flaws, shares=shares, **told)


def _shards(splits: NDArray[np.uint8], capacity: int) -> Iterator[PlannedShard]:
    for place, split in enumerate(SPLITS):
        first, last = np.searchsorted(splits, [place, place + 1]).tolist()
        for number, start in enumerate(range(first, last, capacity)):
            name = SHARD_NAME.format(split=split, number=number)
            yield PlannedShard(name, split, start, min(start + capacity, last))
