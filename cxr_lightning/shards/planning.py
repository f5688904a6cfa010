"""A source enters, a plan on disk leaves: every study with its key, hashed patient, split, shard and place in it.

The source is read once and its studies are spooled, so an archive of any size needs little memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.durable import own as mine
from cxr_lightning.durable import sync, write_text
from cxr_lightning.reports.conversations import shares_among
from cxr_lightning.reports.conversations.frequencies import Shares
from cxr_lightning.reports.sources import Flaw, Found, SourceError
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.plan import ENTRY, NONE, ORDER, PLAN, STUDIES, Plan, read_plan
from cxr_lightning.shards.preparation import chosen_views, said_of
from cxr_lightning.shards.splits import Fractions, Prescribed, assign_splits
from cxr_lightning.shards.spool import create, line_of, read_at
from cxr_lightning.shards.written import Written
from cxr_lightning.study import SPLITS, Split, View

_COUNTED = 2000
"""Studies in which findings are counted: a few seconds, and enough for all but the rarest."""
_FEWEST = 200
"""Fewer studies tell less than what is known of other archives."""


def write_plan(
    folder: Path,
    stream: Iterable[Found | Flaw],
    *,
    command: str,
    stamp: str,
    fractions: Fractions,
    secret: str,
    samples_per_shard: int,
    summaries: Path | None = None,
    priors: bool = False,
    balanced: bool = False,
    told: Callable[[int], object] = lambda number: None,
) -> Plan:
    """Gives every study its key, patient, split and place, and writes all of it down.

    Args:
        folder: Where the plan goes; it is there when plan.json is.
        stream: What a source found.
        command: Digest of what was asked for.
        stamp: Of the tables that the stream comes from.
        fractions: Shares of patients where the source prescribes no split.
        secret: Key of the patients' and studies' hashes.
        samples_per_shard: Studies of a full shard.
        summaries: What `cxr summarize` wrote.
        priors: Whether each study gets the one before it.
        balanced: Whether to count how common findings are.
        told: Called with the number of studies found so far.

    Raises:
        SplitConflict: The source puts one patient into two splits.
        SourceError: The summaries cannot be used.
        ValueError: The key cannot be used.
    """
    # Others of a Slurm array may plan the same at this moment: each writes its own files, and the last one stays.
    own = f".{mine()}"
    flaws: list[Flaw] = []
    written = None if summaries is None else Written(summaries)  # before hours of reading
    spooling = _Spooling(stream, secret, written, flaws, told)
    with create(folder / (STUDIES + own)) as file:
        splits = assign_splits(spooling.into(file), fractions)
        file.flush()
        os.fsync(file.fileno())
    if written is not None and spooling.keys and written.missed == len(spooling.keys):
        raise SourceError(
            f"--summaries {summaries}: names none of the {written.missed} studies; is it another archive's?"
        )
    order, twins = _ordered(spooling, splits, priors=priors)
    flaws += [Flaw(spooling.where(folder / (STUDIES + own), offset), "study twice", _TWICE) for offset in twins]
    with (folder / (ORDER + own)).open("wb") as file:
        np.lib.format.write_array(file, order, version=(1, 0), allow_pickle=False)
        os.fsync(file.fileno())
    for name in (STUDIES, ORDER):
        (folder / (name + own)).replace(folder / name)
    table = {
        "command": command,
        "stamp": stamp,
        "summarised": summaries is not None,
        "drawn": spooling.sources <= {"phantoms"},
        "samples_per_shard": samples_per_shard,
        "flaws": [asdict(flaw) for flaw in flaws],
        "unseen": spooling.unseen,
        "unused": spooling.unused,
        "shares": _shares(folder, order) if balanced and len(order) >= _FEWEST else None,
    }
    write_text(folder / PLAN, json.dumps(table) + "\n")
    sync(folder)
    return read_plan(folder)


def _shares(folder: Path, order: NDArray[np.void]) -> Shares:
    """Counts findings in studies of all splits; keys are hashes, so every so-many-th is a draw by chance."""
    offsets = order["offset"][:: -(-len(order) // _COUNTED)].tolist()
    with (folder / STUDIES).open("rb") as file:
        return shares_among(said_of(read_at(file, offset).study) for offset in offsets)


_TWICE = "another study has the same name; only the first is used"


class _Spooling:
    """Writes studies to a file while their splits are found; keeps of each what orders it."""

    def __init__(
        self,
        stream: Iterable[Found | Flaw],
        secret: str,
        written: Written | None,
        flaws: list[Flaw],
        told: Callable[[int], object],
    ) -> None:
        self._stream, self._secret, self._written, self._flaws, self._told = stream, secret, written, flaws, told
        self.keys: list[bytes] = []
        self.patients: list[str] = []
        self.offsets: list[int] = []
        self.taken: list[str] = []
        self.unseen = self.unused = 0
        self.sources: set[str] = set()

    def into(self, file: Any) -> Iterator[Prescribed]:
        """Yields what the source prescribes, study by study."""
        offset = 0
        for item in self._stream:
            if isinstance(item, Flaw):
                self._flaws.append(item)
                continue
            study = item.study
            if self._written is not None and (summary := self._written.summary_of(study.study_id)):
                item = Found(replace(study, summary=summary), item.where)
            patient = hashed(study.patient_id, "patient", self._secret)
            self.keys.append(hashed(f"{study.source}\n{study.study_id}", "study", self._secret).encode())
            self.patients.append(patient)
            self.offsets.append(offset)
            self.taken.append(study.taken)
            self.sources.add(study.source)
            self.unseen += not study.views
            self.unused += _not_stored(study.views)
            offset += file.write(line_of(item))
            self._told(len(self.keys))
            yield Prescribed(patient, study.split, item.where)

    @staticmethod
    def where(spooled: Path, offset: int) -> str:
        """Says where the source has a study."""
        with spooled.open("rb") as file:
            return read_at(file, offset).where


def _not_stored(views: tuple[View, ...]) -> int:
    """Counts views beyond those that a sample stores; the header of a DICOM file may yet say that one is a lateral."""
    open_to = any(view.position == "unknown" and view.path.suffix.lower() not in (".png", ".jpg") for view in views)
    return max(0, len(views) - 2) if open_to else len(views) - len(chosen_views(views, "jpg"))


def _ordered(spooled: _Spooling, splits: dict[str, Split], *, priors: bool) -> tuple[NDArray[np.void], list[int]]:
    """Sorts studies by split and key; returns them, and the places of those whose key another has."""
    order = np.zeros(len(spooled.keys), ENTRY)
    order["key"], order["patient"] = spooled.keys, spooled.patients
    order["split"] = [SPLITS.index(splits[patient]) for patient in spooled.patients]
    order["offset"], order["prior"] = spooled.offsets, NONE
    place = np.lexsort((order["offset"], order["key"], order["split"]))
    order, taken = order[place], np.array(spooled.taken, dtype=np.str_)[place]
    again = np.zeros(len(order), dtype=np.bool_)
    again[1:] = order["key"][1:] == order["key"][:-1]
    twins: list[int] = order["offset"][again].tolist()
    order, taken = order[~again], taken[~again]
    if priors:
        _link(order, taken)
    return order, twins


def _link(order: NDArray[np.void], taken: NDArray[np.str_]) -> None:
    """Points each study to its patient's last one that is strictly earlier; where the source gives no time, to none."""
    patient, now, before, last = b"", "", NONE, NONE
    for number in np.lexsort((order["offset"], taken, order["patient"])).tolist():
        if order["patient"][number] != patient:
            patient, now, before, last = order["patient"][number], "", NONE, NONE
        if taken[number] != now:  # of two studies at one time, neither was there for the other
            now, before = taken[number], last
        if now:
            order["prior"][number], last = before, int(order["offset"][number])
