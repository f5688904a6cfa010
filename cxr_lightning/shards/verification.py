"""An index and its tars enter; what differs between them is told, down to the sample."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import INDEX_NAME, ROWS_NAME, ShardError, ShardRecord
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.index import ShardIndex, refuse_shared
from cxr_lightning.shards.rows import digest_of, patients_of
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.study import SPLITS

_MOST_TOLD = 10
_AT_ONCE = 16
"""Sizes of remote shards asked for at a time: each is an answer away, and a set has thousands."""


def verify(index: ShardIndex, *, digests: bool = True) -> None:
    """Hold an index against its shards.

    Args:
        index: The index, as `read_index` gives it.
        digests: Also read every byte and compare SHA-256 and the samples' CRC-32, and see that no patient is in two
            splits; else the rows' digest, and the shards' presence and size.

    Raises:
        ShardError: Something differs; the message lists what.
        StorageError: Something cannot be reached.
    """
    verify_rows(index)
    locations = index.locations
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = list(threads.map(_size_found, locations))
    wrong = [
        complaint
        for location, shard, size in zip(locations, index.shards, found, strict=True)
        for complaint in _complaints(index, location, shard, size, digests)
    ]
    if wrong:
        more = f"\n  and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        told = "".join(f"\n  {complaint}" for complaint in wrong[:_MOST_TOLD])
        raise ShardError(
            f"{index.root}: shards differ from {INDEX_NAME}; copy them again (a new index would call the damage good):"
            f"{told}{more}"
        )
    if digests:
        refuse_shared(index.root, [patients_of(index.split(split).rows) for split in SPLITS])


def verify_rows(index: ShardIndex) -> None:
    """See that the rows are those that the index was written with; reads the file once, 0.2 s for a million samples.

    Args:
        index: The index, as `read_index` gives it.

    Raises:
        ShardError: They are not.
    """
    location = storage.join(index.root, ROWS_NAME)
    if not storage.is_remote(location) and digest_of(Path(location)) != index.rows_sha256:  # remote ones: when opened
        raise ShardError(
            f"{location}: not the file that {INDEX_NAME} was written with; copy both again, or make them again by: "
            "cxr index"
        )


def _size_found(location: str) -> int | None:
    try:
        return storage.size_of(location)
    except StorageError as error:
        if error.missing:
            return None
        raise


def _complaints(index: ShardIndex, location: str, shard: ShardRecord, size: int | None, digests: bool) -> Iterator[str]:
    if size is None:
        yield f"{shard['name']}: missing"
    elif size != shard["bytes"]:
        yield f"{shard['name']}: {size} bytes, and the index says {shard['bytes']}"
    elif digests and storage.digest(location) != shard["sha256"]:
        bad = list(_damaged(index, location))
        yield f"{shard['name']}: SHA-256 differs; damaged: {', '.join(bad[:5]) or 'bytes outside every sample'}"


def _damaged(index: ShardIndex, location: str) -> Iterator[str]:
    number = index.locations.index(location)
    for row in index.rows[index.rows["shard"] == number]:
        if zlib.crc32(storage.read_range(location, int(row["offset"]), int(row["size"]))) != row["crc32"]:
            key = row["key"].decode()
            yield f"sample {key if index.members is None else hashed(key, 'study')}"
