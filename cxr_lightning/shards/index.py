"""The index: shard records enter and `index.json` leaves; `index.json` enters and columns of numbers leave.

Whoever trains plans a whole epoch from the columns, without opening a tar, and reads any sample by one range read.
`verify` holds the index against the tars, byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning import __version__
from cxr_lightning.shards.contract import (
    INDEX_NAME,
    SCHEMA,
    ImageRecord,
    IndexRecord,
    SampleColumns,
    ShardError,
    ShardRecord,
    SplitRecord,
)
from cxr_lightning.study import SPLITS, Split

Ints = NDArray[np.int64]
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class SplitIndex:
    """The samples of one split, in the tars' order; every array has one number a sample.

    Attributes:
        name: The split.
        paths: The split's shards.
        shard_id: Which of `paths` holds the sample.
        offset: First byte of the sample in its shard.
        size: Bytes of the sample.
        characters: Length of its summary; 0 where a source brought only questions and answers.
        images: Number of its images.
        crc32: CRC-32 of its bytes.
        keys: Its key.
        patients: Its hashed patient.
    """

    name: Split
    paths: tuple[Path, ...]
    shard_id: Ints
    offset: Ints
    size: Ints
    characters: Ints
    images: Ints
    crc32: Ints
    keys: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What a folder of shards holds.

    Attributes:
        root: The folder.
        created_by: Program and version that made it.
        image: Size and format of the images.
        fingerprint: Digest over all shards: equal data, equal fingerprint.
        counts: Samples and patients of each split.
        shards: The shards as the index lists them.
    """

    root: Path
    created_by: str
    image: ImageRecord
    fingerprint: str
    counts: dict[str, SplitRecord]
    shards: tuple[ShardRecord, ...]

    def split(self, name: Split) -> SplitIndex:
        """Collect one split's samples.

        Args:
            name: train, validate or test.

        Returns:
            Columns over all its shards; empty ones where the split has no sample.
        """
        if name not in SPLITS:
            raise ValueError(f"no split is called '{name}'; there is {', '.join(SPLITS)}")
        mine = [shard for shard in self.shards if shard["split"] == name]
        lengths = [len(shard["samples"]["key"]) for shard in mine]
        return SplitIndex(
            name=name,
            paths=tuple(self.root / shard["name"] for shard in mine),
            shard_id=np.repeat(np.arange(len(mine), dtype=np.int64), lengths),
            offset=_column(shard["samples"]["offset"] for shard in mine),
            size=_column(shard["samples"]["size"] for shard in mine),
            characters=_column(shard["samples"]["characters"] for shard in mine),
            images=_column(shard["samples"]["images"] for shard in mine),
            crc32=_column(shard["samples"]["crc32"] for shard in mine),
            keys=tuple(key for shard in mine for key in shard["samples"]["key"]),
            patients=tuple(patient for shard in mine for patient in shard["samples"]["patient"]),
        )


def write_index(root: Path, shards: list[ShardRecord], image: ImageRecord) -> IndexRecord:
    """Write index.json beside its shards.

    Args:
        root: The folder that holds the shards.
        shards: Their records, in order.
        image: How images are stored.

    Returns:
        What was written.
    """
    patients = _patients(shards)
    assert _leak(patients) is None, "a patient in two splits reached the writer"
    record = IndexRecord(
        schema=SCHEMA,
        created_by=f"cxr-lightning {__version__}",
        image=image,
        splits={
            split: SplitRecord(
                samples=sum(len(shard["samples"]["key"]) for shard in shards if shard["split"] == split),
                patients=len(patients[split]),
            )
            for split in SPLITS
        },
        fingerprint=fingerprint_of(shards),
        shards=shards,
    )
    temporary = root / f"{INDEX_NAME}.partial"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(record, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(root / INDEX_NAME)
    return record


def read_index(root: Path) -> ShardIndex:
    """Read a folder's index and check that it is consistent in itself.

    Args:
        root: A folder that `cxr pack` made.

    Raises:
        ShardError: There is no index, it is of another schema, or it contradicts itself.
    """
    path = Path(root) / INDEX_NAME
    try:
        record: IndexRecord = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ShardError(
            f"{path}: no such file; shards without an index cannot be trained on. Make them by: cxr pack"
        ) from None
    except (OSError, ValueError) as error:
        raise ShardError(
            f"{path}: not readable as JSON ({type(error).__name__}); copy it again, or pack again"
        ) from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        raise ShardError(
            f"{path}: schema {found}, and this version reads {SCHEMA}; pack again, or use the version that made it"
        )
    try:
        _check_index(path, record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"{path}: damaged ({type(error).__name__} {error}); pack again") from None
    return ShardIndex(
        root=path.parent,
        created_by=record["created_by"],
        image=record["image"],
        fingerprint=record["fingerprint"],
        counts=record["splits"],
        shards=tuple(record["shards"]),
    )


def verify(index: ShardIndex, *, digests: bool = True) -> None:
    """Hold an index against its shards.

    Args:
        index: The index, as `read_index` gives it.
        digests: Also read every byte and compare SHA-256 and the samples' CRC-32; else presence and size only.

    Raises:
        ShardError: Something differs; the message lists what.
    """
    wrong = [
        complaint for shard in index.shards for complaint in _complaints(index.root / shard["name"], shard, digests)
    ]
    if wrong:
        more = f"\n  and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        told = "".join(f"\n  {complaint}" for complaint in wrong[:_MOST_TOLD])
        raise ShardError(f"{index.root}: shards differ from {INDEX_NAME}; copy them again, or pack again:{told}{more}")


def fingerprint_of(shards: Iterable[ShardRecord]) -> str:
    """Digest the shards' names and digests.

    Args:
        shards: Their records, in order.
    """
    lines = "".join(f"{shard['sha256']}  {shard['name']}\n" for shard in shards)
    return hashlib.sha256(lines.encode()).hexdigest()


def _complaints(path: Path, shard: ShardRecord, digests: bool) -> list[str]:
    if not path.is_file():
        return [f"{shard['name']}: missing"]
    size = path.stat().st_size
    if size != shard["bytes"]:
        return [f"{shard['name']}: {size} bytes, and the index says {shard['bytes']}"]
    if not digests:
        return []
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == shard["sha256"]:
            return []
        samples = shard["samples"]
        rows = zip(samples["key"], samples["offset"], samples["size"], samples["crc32"], strict=True)
        bad = []
        for key, offset, length, crc32 in rows:
            file.seek(offset)
            if zlib.crc32(file.read(length)) != crc32:
                bad.append(f"sample {key}")
    return [f"{shard['name']}: SHA-256 differs; damaged: {', '.join(bad[:5]) or 'bytes outside every sample'}"]


def _check_index(path: Path, record: IndexRecord) -> None:
    for shard in record["shards"]:
        if len({len(shard["samples"][name]) for name in _COLUMNS}) != 1:  # type: ignore[literal-required]
            raise ShardError(f"{path}: the columns of {shard['name']} differ in length; pack again")
        if Path(shard["name"]).name != shard["name"]:
            raise ShardError(f"{path}: '{shard['name']}' leads out of the folder; a shard lies beside its index")
    if fingerprint_of(record["shards"]) != record["fingerprint"]:
        raise ShardError(f"{path}: its fingerprint does not fit its shards; was it edited? Pack again")
    patient = _leak(_patients(record["shards"]))
    if patient:
        raise ShardError(
            f"{path}: patient {patient} (hashed) is in two splits; scores on such data mean nothing. Pack again"
        )


_COLUMNS = tuple(SampleColumns.__annotations__)


def _column(parts: Iterable[list[int]]) -> Ints:
    return np.array([number for part in parts for number in part], dtype=np.int64)


def _patients(shards: Iterable[ShardRecord]) -> dict[Split, set[str]]:
    patients: dict[Split, set[str]] = {split: set() for split in SPLITS}
    for shard in shards:
        patients[shard["split"]].update(shard["samples"]["patient"])
    return patients


def _leak(patients: dict[Split, set[str]]) -> str | None:
    seen: set[str] = set()
    for members in patients.values():
        if seen & members:
            return min(seen & members)
        seen |= members
    return None
