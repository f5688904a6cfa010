"""The index: shards with their rows enter, `index.npy` and `index.json` leave; those enter, samples by number leave.

`index.json` is small and for people; the rows are mapped, so opening costs the same for a thousand and for a hundred
million samples. Whoever trains reads any sample by one range read. `verify` holds the index against the tars.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning import __version__
from cxr_lightning.durable import sync
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import (
    INDEX_NAME,
    INDEX_SCHEMA,
    ROWS_NAME,
    ImageRecord,
    IndexRecord,
    MembersRecord,
    RowsRecord,
    ShardError,
    ShardRecord,
    SplitRecord,
)
from cxr_lightning.shards.rows import (
    Rows,
    ShardRows,
    digest_of,
    laid_out,
    open_rows,
    patients_of,
    shared_patient,
    write_rows,
)
from cxr_lightning.shards.splitindex import SplitIndex
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.study import SPLITS, Split

__all__ = ["ShardIndex", "SplitIndex", "fingerprint_of", "read_index", "write_index"]


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What a folder of shards holds.

    Attributes:
        root: The folder, by path or URL.
        created_by: Program and version that made the index.
        image: Size and format of the images.
        members: How samples are read; None where their JSON member is a `SampleRecord`.
        fingerprint: Digest over all shards and rows: equal data, equal fingerprint.
        counts: Samples and patients of each split.
        shards: The shards as the index lists them.
        rows_sha256: Digest that `index.npy` must have.
        rows: One `Row` a sample, split by split.
    """

    root: str
    created_by: str
    image: ImageRecord
    members: MembersRecord | None
    fingerprint: str
    counts: dict[Split, SplitRecord]
    shards: tuple[ShardRecord, ...]
    rows_sha256: str
    rows: Rows

    @property
    def locations(self) -> tuple[str, ...]:
        """Path or URL of every shard."""
        return tuple(storage.join(self.root, shard["name"]) for shard in self.shards)

    def split(self, name: Split) -> SplitIndex:
        """Give one split's samples; nothing is copied.

        Args:
            name: train, validate or test.

        Returns:
            Its rows; none where the split has no sample.
        """
        if name not in SPLITS:
            raise ValueError(f"no split is called '{name}'; there is {', '.join(SPLITS)}")
        start = sum(self.counts[split]["samples"] for split in SPLITS[: SPLITS.index(name)])
        return SplitIndex(
            name=name,
            locations=self.locations,
            rows=self.rows[start : start + self.counts[name]["samples"]],
            shard_lengths=np.array([shard["samples"].get(name, 0) for shard in self.shards], dtype=np.int64),
            members=self.members,
        )


def write_index(
    root: Path, shards: Sequence[ShardRows], image: ImageRecord, members: MembersRecord | None = None
) -> IndexRecord:
    """Write index.npy and then index.json.

    Args:
        root: The folder for them, beside the shards or not.
        shards: The shards, in order.
        image: How images are stored.
        members: How samples are read, where their JSON member is no `SampleRecord`.

    Returns:
        What index.json now holds.

    Raises:
        ShardError: A patient is in two splits.
    """
    rows = laid_out(shards)
    samples = {split: sum(len(shard.rows.get(split, ())) for shard in shards) for split in SPLITS}
    parts = np.split(rows, np.cumsum(list(samples.values()))[:-1])
    patients = {split: patients_of(part) for split, part in zip(SPLITS, parts, strict=True)}
    refuse_shared(str(root), patients.values())
    root.mkdir(parents=True, exist_ok=True)
    partial = root / f"{ROWS_NAME}.partial"
    with partial.open("wb") as file:
        write_rows(rows, file)
        file.flush()
        os.fsync(file.fileno())
    records = [_record(shard) for shard in shards]
    digest = digest_of(partial)
    record = IndexRecord(
        schema=INDEX_SCHEMA,
        created_by=f"cxr-lightning {__version__}",
        image=image,
        members=members,
        splits={split: SplitRecord(samples=samples[split], patients=len(patients[split])) for split in SPLITS},
        fingerprint=fingerprint_of(records, digest, members),
        rows=RowsRecord(name=ROWS_NAME, sha256=digest),
        shards=records,
    )
    _set_in_place(root, record)
    return record


def read_index(location: str | Path, cache: Path | None = None) -> ShardIndex:
    """Open the index of a folder of shards.

    Costs the same for any number of samples: the rows are mapped, and looked at only where they are used. Whether they
    are the ones that were written, `verify` says.

    Args:
        location: The folder, by path or URL, that holds index.json.
        cache: Where the rows of a remote index are kept, to be mapped by all processes of a node; without it, each
            process holds them in memory.

    Raises:
        ShardError: There is no index, it is of another schema, or it contradicts itself.
        StorageError: It cannot be reached.
    """
    root = os.fspath(location) if storage.is_remote(location) else str(storage.local_path(location))
    path = storage.join(root, INDEX_NAME)
    record = _read_record(path)
    try:
        _check_record(path, record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"{path}: damaged ({type(error).__name__} {error}); make it again by: cxr index") from None
    rows = open_rows(storage.join(root, ROWS_NAME), record["rows"]["sha256"], cache)
    if len(rows) != sum(counts["samples"] for counts in record["splits"].values()):
        raise ShardError(
            f"{path}: does not belong to {ROWS_NAME}, of {len(rows)} samples; copy both again, or cxr index"
        )
    return ShardIndex(
        root=root,
        created_by=record["created_by"],
        image=record["image"],
        members=record["members"],
        fingerprint=record["fingerprint"],
        counts=record["splits"],
        shards=tuple(record["shards"]),
        rows_sha256=record["rows"]["sha256"],
        rows=rows,
    )


def fingerprint_of(shards: Iterable[ShardRecord], rows: str, members: MembersRecord | None) -> str:
    """Digest all that decides what is read under which number; where the shards lie does not.

    Args:
        shards: Their records, in order.
        rows: Digest of index.npy.
        members: How samples are read.
    """
    lines = "".join(
        f"{shard['sha256']}  {shard['name'].rpartition('/')[2]}  {json.dumps(shard['samples'], sort_keys=True)}\n"
        for shard in shards
    )
    how = json.dumps(members, sort_keys=True)
    return hashlib.sha256(f"{lines}{rows}  {ROWS_NAME}\n{how}\n".encode()).hexdigest()


def _record(shard: ShardRows) -> ShardRecord:
    counts = {split: len(rows) for split, rows in shard.rows.items() if len(rows)}
    return ShardRecord(name=shard.name, bytes=shard.bytes, sha256=shard.sha256, samples=counts)


def refuse_shared(where: str, splits: Iterable[NDArray[np.bytes_]]) -> None:
    """Refuse a patient who is in two splits.

    Args:
        where: Whose splits they are.
        splits: Each split's different patients.

    Raises:
        ShardError: There is one.
    """
    patient = shared_patient(splits)
    if patient is not None:
        raise ShardError(
            f"{where}: patient {patient} (hashed) is in two splits; scores on such data mean nothing. Give all of a "
            "patient's studies one split, and make shards or index again"
        )


def _set_in_place(root: Path, record: IndexRecord) -> None:
    """Put rows and record under their names; at no moment does a record stand beside rows of another."""
    partial = root / f"{INDEX_NAME}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(record, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    (root / INDEX_NAME).unlink(missing_ok=True)
    (root / f"{ROWS_NAME}.partial").replace(root / ROWS_NAME)
    partial.replace(root / INDEX_NAME)
    sync(root)


def _read_record(path: str) -> IndexRecord:
    try:
        record: IndexRecord = json.loads(storage.read_bytes(path))
    except StorageError as error:
        if not error.missing:
            raise
        raise ShardError(
            f"{path}: no such file; shards without an index cannot be read. Make them by: "
            "cxr pack; for tars that are there: cxr index"
        ) from None
    except ValueError as error:
        raise ShardError(
            f"{path}: not readable as JSON ({type(error).__name__}); copy it again, or make it again by: cxr index"
        ) from None
    found = record.get("schema") if isinstance(record, dict) else None
    if found != INDEX_SCHEMA:
        raise ShardError(
            f"{path}: schema {found}, and this version reads {INDEX_SCHEMA}; make it again from the tars, which "
            f"stay as they are: cxr index {os.path.dirname(path)}"
        )
    return record


_DIGEST = re.compile(r"[0-9a-f]{64}")


def _check_record(path: str, record: IndexRecord) -> None:
    # Digests name files in a cache, and an index may come from anywhere.
    if not all(_DIGEST.fullmatch(each["sha256"]) for each in (record["rows"], *record["shards"])):
        raise ShardError(f"{path}: a SHA-256 in it is none; was it edited? Make it again by: cxr index")
    for shard in record["shards"]:
        name = shard["name"]
        if storage.is_remote(path) and (name.startswith(("local:", "file:")) or "::" in name):
            raise ShardError(f"{path}: '{name}' leads from a remote index to this machine; give a URL")
        elsewhere = storage.is_remote(name) or (os.path.isabs(name) and not storage.is_remote(path))
        if not elsewhere and (os.path.basename(name) != name or not name.strip(".")):
            raise ShardError(
                f"{path}: '{name}' leads out of the folder; a shard lies beside its index or has a full path"
            )
    for split in SPLITS:
        listed = sum(shard["samples"].get(split, 0) for shard in record["shards"])
        if listed != record["splits"][split]["samples"]:
            raise ShardError(f"{path}: the shards' samples of {split} do not add up; make it again by: cxr index")
    if fingerprint_of(record["shards"], record["rows"]["sha256"], record["members"]) != record["fingerprint"]:
        raise ShardError(f"{path}: its fingerprint does not fit its shards; was it edited? Make it again by: cxr index")
