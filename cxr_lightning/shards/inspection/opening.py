"""A folder of shards enters, what there is to inspect leaves, however little of its index can be read.

Where training refuses a damaged index at the first thing that is wrong, inspection takes what is left of it: a list of
shards without good rows still names tars, and a folder without any index still holds some.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import INDEX_NAME, INDEX_SCHEMA, ROWS_NAME, IndexRecord, MembersRecord, ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.inspection.checks import Findings
from cxr_lightning.shards.inspection.types import JsonError, misfit, parse
from cxr_lightning.shards.places import tars_of
from cxr_lightning.shards.rows import Rows, open_rows, patients_of
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.shards.verification import verify_rows
from cxr_lightning.site import shown
from cxr_lightning.study import SPLITS

_MOST_INDEX = 256 << 20
_LARGEST_SIDE = 65_535
"""Of a JPEG."""


@dataclass(frozen=True, slots=True)
class Tar:
    """One shard as the index knows it.

    Attributes:
        name: Its name, without folder, user, password or signature.
        location: Path or URL.
        bytes: Its listed size; None where no index lists it.
        sha256: Its listed digest; empty where none does.
        rows: Its samples, by offset; None where no index lists them.
        splits: The split of each row, as a place in SPLITS.
    """

    name: str
    location: str
    bytes: int | None
    sha256: str
    rows: Rows | None
    splits: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What there is to inspect.

    Attributes:
        root: The folder, by path or URL.
        tars: Its shards.
        record: index.json, as far as it is one.
        members: How samples are read, where they are not.
        size: Longest side that an image may have; None where nothing says.
    """

    root: str
    tars: tuple[Tar, ...]
    record: IndexRecord | None
    members: MembersRecord | None
    size: int | None


def open_set(location: str, findings: Findings) -> Opened:
    """Open a folder of shards.

    Args:
        location: Path or URL of the folder that holds index.json, or should.
        findings: Takes what is wrong with the index.

    Raises:
        ShardError: There is neither an index nor a tar.
        StorageError: It cannot be reached.
    """
    root = location if storage.is_remote(location) else str(storage.local_path(location))
    if not storage.is_remote(location) and os.path.isfile(root):
        raise ShardError(f"{root}: is a file; give the folder that holds it, {os.path.dirname(os.path.abspath(root))}")
    record = _record(root, findings)
    locations = _locations(root, record)
    rows = _rows(root, record, findings, len(locations)) if record is not None else None
    by_shard = _by_shard(rows, record, len(locations)) if record is not None and rows is not None else None
    tars = []
    for number, (where, listed) in enumerate(locations):
        mine, splits = (None, None) if by_shard is None else by_shard[number]
        size, sha256 = (None, "") if listed is None else listed
        tars.append(Tar(os.path.basename(shown(where)), where, size, sha256, mine, splits))
    members = None if record is None else record["members"]
    size = record["image"]["size"] if record is not None and members is None else None
    return Opened(root, tuple(tars), record, members, size)


def _record(root: str, findings: Findings) -> IndexRecord | None:
    """Read index.json; what is wrong with it is told, and it is used as far as its fields are of their types."""
    path = storage.join(root, INDEX_NAME)
    try:
        if storage.size_of(path) > _MOST_INDEX:
            raise JsonError(f"more than {_MOST_INDEX} bytes")
        record: Any = parse(storage.read_bytes(path), _MOST_INDEX)
    except StorageError as error:
        if not error.missing:
            raise
        findings.add("index", "there is none; the tars of the folder are looked at as `cxr pack` would have made them")
        return None
    except JsonError as error:
        findings.add("index", f"{INDEX_NAME} is {error}" if "bytes" not in str(error) else f"{INDEX_NAME}: {error}")
        return None
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != INDEX_SCHEMA:
        told = str(schema) if type(schema) is int else "none"
        findings.add("index", f"its schema is {told}, and this version reads {INDEX_SCHEMA}")
        return None
    if fault := misfit(record, IndexRecord) or _impossible(record):
        findings.add("index", f"{INDEX_NAME}: {fault}")
        return None
    try:
        read_index(root)  # all that training would refuse it for
    except ShardError as error:
        findings.add("rows" if ROWS_NAME in str(error) else "index", _said(error, root))
    except StorageError as error:
        findings.add("rows", _said(error, root))
    usable: IndexRecord = record
    return usable


def _impossible(record: IndexRecord) -> str | None:
    """Find what is of the right type, and cannot be."""
    if missing := next((name for name in SPLITS if name not in record["splits"]), None):
        return f"'splits.{missing}' is missing"
    if record["rows"]["name"] != ROWS_NAME:
        return f"'rows.name' must be {ROWS_NAME}"
    texts_alone = record["members"] is not None and not record["members"]["image"]
    if not (0 if texts_alone else 1) <= record["image"]["size"] <= _LARGEST_SIDE:
        return f"'image.size' must be 1 to {_LARGEST_SIDE}"
    numbers = [number for each in record["splits"].values() for number in (each["samples"], each["patients"])]
    numbers += [number for each in record["shards"] for number in (each["bytes"], *each["samples"].values())]
    if any(not 0 <= number < 1 << 63 for number in numbers):
        return "a number in it is below zero, or no computer's"
    names = [shard["name"] for shard in record["shards"]]
    return "it lists a shard twice" if len(set(names)) != len(names) else None


def _said(error: ValueError, root: str) -> str:
    """Takes the folder out of an error: a table has room for what is wrong."""
    return str(error).replace(f"{shown(root).rstrip('/')}/", "")


def _locations(root: str, record: IndexRecord | None) -> list[tuple[str, tuple[int, str] | None]]:
    if record is None:
        folder = f"{root.rstrip('/')}/" if storage.is_remote(root) else root
        return [(tar, None) for tar in tars_of([folder])]
    found: list[tuple[str, tuple[int, str] | None]] = []
    for shard in record["shards"]:
        name = shard["name"]
        # An index may come from anywhere: it sends nobody out of its folder, but to a full path or URL as it may.
        elsewhere = storage.is_remote(name) or (os.path.isabs(name) and not storage.is_remote(root))
        safe = elsewhere or (os.path.basename(name) == name and name.strip(".") and "\0" not in name)
        if safe:
            found.append((storage.join(root, name), (shard["bytes"], shard["sha256"])))
        else:
            found.append((storage.join(root, "a-name-that-leads-out-of-the-folder"), (shard["bytes"], shard["sha256"])))
    return found


def _rows(root: str, record: IndexRecord, findings: Findings, shards: int) -> Rows | None:
    """Open index.npy, where its rows can be the shards'."""
    try:
        rows = open_rows(storage.join(root, ROWS_NAME), record["rows"]["sha256"])
    except (ShardError, StorageError):
        return None  # told when the index was read
    if len(rows) != sum(counts["samples"] for counts in record["splits"].values()):
        return None  # told as well
    if len(rows) and (int(rows["shard"].max()) >= shards or int(rows["offset"].min()) < 0):
        findings.add("rows", "its rows name shards that the index does not list, or places before their beginning")
        return None
    _check_rows(root, record, rows, findings)
    return rows


def _check_rows(root: str, record: IndexRecord, rows: Rows, findings: Findings) -> None:
    try:
        verify_rows(read_index(root))
    except ShardError as error:
        if "not the file" in str(error):
            findings.add("rows", _said(error, root))
    start = 0
    for name in SPLITS:
        counts = record["splits"][name]
        mine = rows[start : start + counts["samples"]]
        start += counts["samples"]
        if len(patients_of(mine)) != counts["patients"]:
            there = len(patients_of(mine))
            findings.add("rows", f"{name} has {there} patients, and {INDEX_NAME} says {counts['patients']}")
        lengths = np.bincount(mine["shard"], minlength=len(record["shards"]))
        listed = [shard["samples"].get(name, 0) for shard in record["shards"]]
        if not np.array_equal(lengths, listed):
            findings.add("rows", f"the shards have other numbers of {name} samples than {INDEX_NAME} says")
        place = mine["shard"].astype(np.int64)
        if (np.diff(place) < 0).any() or ((np.diff(place) == 0) & (np.diff(mine["offset"]) <= 0)).any():
            findings.add("rows", f"the samples of {name} do not stand by shard and offset, as training reads them")


def _by_shard(rows: Rows, record: IndexRecord, shards: int) -> list[tuple[Rows, NDArray[np.uint8]]]:
    """Divide the rows among the shards, each one's by offset."""
    splits = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), [record["splits"][name]["samples"] for name in SPLITS])
    order = np.lexsort((rows["offset"], rows["shard"]))
    edges = np.searchsorted(rows["shard"][order], np.arange(shards + 1))
    return [(rows[order[low:high]], splits[order[low:high]]) for low, high in pairwise(edges)]
