"""Scanned tars enter, shards with their rows leave: what only all tars together decide.

Keys that would mean two samples, patients where nothing names them, and splits.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.rows import LONGEST_KEY, Row, Rows, ShardRows, row_type
from cxr_lightning.shards.scanning import UNDECIDED, Scanned
from cxr_lightning.shards.splits import Fractions, split_of
from cxr_lightning.shards.storage import is_remote
from cxr_lightning.study import SPLITS, Split

Wish = Literal["auto", "train", "validate", "test", "hash"]
_NAMED = re.compile(r"(?<![a-z])(train(?:ing)?|val(?:id(?:ation|ate)?)?|dev|test(?:ing)?)(?![a-z])")
_PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Gathered:
    """Shards for an index.

    Attributes:
        shards: The shards with their rows.
        decided: How many samples' splits each thing decided.
    """

    shards: list[ShardRows]
    decided: Counter[str]


def gather(
    scanned: Sequence[Scanned],
    folder: Path,
    *,
    split: Wish,
    fractions: Fractions,
    packed: bool,
    secret: str,
) -> Gathered:
    """Make shards of scanned tars.

    Args:
        scanned: The tars.
        folder: Where the index goes; a tar in it is named by its file name alone.
        split: What decides splits.
        fractions: Shares of patients where hashes decide.
        packed: Whether `cxr pack` wrote the tars: then their keys mean the same everywhere, and they stand as it would
            have them stand.
        secret: Key of the patients' hashes.

    Raises:
        ShardError: Two samples have one key.
    """
    tars = list(scanned)
    if packed:
        tars.sort(key=lambda tar: (min(tar.splits, default=UNDECIDED), os.path.basename(tar.location)))
        _refuse_twins(tars)
    else:
        tars = [_with_patients(tar, secret) for tar in _told_apart(tars)]
    decided: Counter[str] = Counter()
    shards = []
    for tar in tars:
        rows = {name: tar.rows[mine] for name, mine in _splits(tar, split, fractions, decided).items()}
        shards.append(ShardRows(_name(tar.location, folder), tar.bytes, tar.sha256, rows))
    return Gathered(shards, decided)


def split_named(location: str) -> Split | None:
    """Read a split off a tar's file name.

    Args:
        location: Path or URL.

    Returns:
        What its first such word says: "train-000.tar", "cxr_val_3.tar", "test.tar"; None where there is none.
    """
    found = _NAMED.search(os.path.basename(location).lower())
    if not found:
        return None
    word = found[1]
    return "train" if word.startswith("train") else "test" if word.startswith("test") else "validate"


def _splits(tar: Scanned, wish: Wish, fractions: Fractions, decided: Counter[str]) -> dict[Split, np.ndarray]:
    named = split_named(tar.location)
    if wish not in ("auto", "hash"):
        numbers, by = np.full(len(tar.rows), SPLITS.index(wish)), f"--split {wish}"
    elif wish == "auto" and len(tar.rows) and tar.splits[0] != UNDECIDED:
        numbers, by = tar.splits, "what cxr pack wrote"
    elif wish == "auto" and named is not None:
        numbers, by = np.full(len(tar.rows), SPLITS.index(named)), "the tars' names"
    else:
        patients = tar.rows["patient"].tolist()
        numbers = np.array([SPLITS.index(split_of(patient.decode(), fractions)) for patient in patients], np.uint8)
        by = "patients' hashes"
    decided[by] += len(tar.rows)
    return {name: numbers == place for place, name in enumerate(SPLITS) if (numbers == place).any()}


def _name(location: str, folder: Path) -> str:
    beside = not is_remote(location) and Path(location).parent == folder
    return os.path.basename(location) if beside else location


def _twins(keys: Sequence[Rows]) -> str | None:
    """Find a key that two tars have; inside a tar, scanning has seen to it."""
    everything = np.concatenate(keys)
    found, times = np.unique(everything, return_counts=True)
    return found[times > 1][0].decode() if (times > 1).any() else None


def _refuse_twins(tars: Sequence[Scanned]) -> None:
    key = _twins([tar.rows["key"] for tar in tars])
    if key is not None:
        both = [tar.location for tar in tars if key.encode() in tar.rows["key"]]
        raise ShardError(f"sample {key} is in {' and '.join(both[:2])}; give each tar once, or make separate indexes")


def _told_apart(tars: Sequence[Scanned]) -> list[Scanned]:
    """Put the tar's name before the keys where tars number their samples alike."""
    if _twins([tar.rows["key"] for tar in tars]) is None:
        return list(tars)
    renamed = [_renamed(tar) for tar in tars]
    key = _twins([tar.rows["key"] for tar in renamed])
    if key is not None:
        raise ShardError(f"two tars of one name have a sample {key}; give each tar once, or rename one")
    return renamed


def _renamed(tar: Scanned) -> Scanned:
    stem = os.path.basename(tar.location).partition(".")[0]
    keys = [f"{stem}/".encode() + key for key in tar.rows["key"].tolist()]
    width = max(map(len, keys), default=1)
    if width > LONGEST_KEY:
        raise ShardError(f"{tar.location}: its name before its keys is longer than {LONGEST_KEY} bytes; rename it")
    rows = np.zeros(len(keys), row_type(width))
    for name in Row._fields:
        rows[name] = keys if name == "key" else tar.rows[name]
    return replace(tar, rows=rows)


def _with_patients(tar: Scanned, secret: str) -> Scanned:
    """Make each sample without a patient one of its own."""
    open_ones = np.flatnonzero(tar.rows["patient"] == b"")
    for number in open_ones:
        name = f"{tar.sha256}/{tar.rows['key'][number].decode()}"  # sets number their samples alike
        tar.rows["patient"][number] = hashed(name, _PATIENT, secret).encode()
    return tar
