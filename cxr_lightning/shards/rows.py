"""The index's rows: what is known of each sample enters, `index.npy` leaves, and is mapped again, never loaded.

One fixed-width record a sample, so a row is found by its number, opening costs the same for a thousand and for a
hundred million samples, and the ranks of a node share one copy in the page cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.looks import NOTHING, Look
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.study import SPLITS, Split

Rows = NDArray[np.void]
"""A structured array with the fields of `Row`."""
LONGEST_KEY = 255
LONGEST_PATIENT = 24


class Row(NamedTuple):
    """One sample in the index.

    Attributes:
        key: The sample's key, UTF-8.
        patient: Its hashed patient.
        shard: Which of the index's shards holds it.
        offset: First byte of the sample in the tar.
        size: Bytes of the sample, headers and padding included.
        characters: Length of its summary.
        images: Number of its images.
        crc32: CRC-32 of those bytes.
        look: What its primary image looks like.
    """

    key: bytes
    patient: bytes
    shard: int
    offset: int
    size: int
    characters: int
    images: int
    crc32: int
    look: Look = NOTHING


@dataclass(frozen=True, slots=True)
class ShardRows:
    """A shard with its samples, ready for the index.

    Attributes:
        name: Its name in the index.
        bytes: Its size.
        sha256: Its digest.
        rows: Its samples in the tar's order, split by split.
    """

    name: str
    bytes: int
    sha256: str
    rows: Mapping[Split, Rows]


def row_type(width: int) -> np.dtype[np.void]:
    """Returns the type of a row.

    Args:
        width: Bytes of the longest key.
    """
    # An offset is signed: with an unsigned 64-bit one, numpy would make floats of sums with other integers.
    numbers = {"shard": "<u4", "offset": "<i8", "size": "<u4", "characters": "<u4", "images": "<u2", "crc32": "<u4"}
    words = [("key", f"S{width}"), ("patient", f"S{LONGEST_PATIENT}")]
    return np.dtype([*words, *numbers.items(), ("look", "<u8", (len(NOTHING),))])


def rows_of(samples: Sequence[Row]) -> Rows:
    """Make rows of samples.

    Args:
        samples: In the tar's order.

    Raises:
        ShardError: A number does not fit its field.
    """
    width = max((len(sample.key) for sample in samples), default=1)
    try:
        return np.array([tuple(sample) for sample in samples], dtype=row_type(width))
    except OverflowError:
        key = max(samples, key=lambda sample: sample.size).key.decode()
        raise ShardError(f"sample {key}: larger than 4 GiB; store smaller images") from None


def laid_out(shards: Sequence[ShardRows]) -> Rows:
    """Lay the rows of all shards out as the index has them: split by split, inside by shard and offset.

    Args:
        shards: The shards; a row's `shard` is its shard's place here.
    """
    parts = [
        (number, shard.rows[split]) for split in SPLITS for number, shard in enumerate(shards) if split in shard.rows
    ]
    width = max((part.dtype["key"].itemsize for _, part in parts), default=1)
    rows = np.zeros(sum(len(part) for _, part in parts), row_type(width))
    start = 0
    for number, part in parts:
        here = rows[start : start + len(part)]
        for name in Row._fields:
            here[name] = part[name]
        here["shard"] = number
        start += len(part)
    return rows


def write_rows(rows: Rows, file: BinaryIO) -> None:
    """Write rows in numpy's own format.

    Args:
        rows: The rows.
        file: Where they go.
    """
    np.lib.format.write_array(file, rows, version=(1, 0), allow_pickle=False)


def open_rows(location: str, sha256: str, cache: Path | None = None) -> Rows:
    """Open a file of rows.

    One on disk is mapped: nothing is read before it is looked at. A remote one is fetched once into the cache, under
    the name of its digest, and mapped from there; without a cache it is held in memory.

    Args:
        location: What `write_rows` wrote, by path or URL.
        sha256: The digest it must have; one on disk is not read through for that.
        cache: A folder that may be shared by processes.

    Raises:
        ShardError: It is missing, cut off, or holds something else.
        StorageError: It cannot be reached.
    """
    try:  # numpy's own reader of this format alone: numpy.load takes archives and pickles for arrays too
        if not storage.is_remote(location):
            storage.require_file(Path(location))
            return _mapped(Path(location))
        kept = None if cache is None else cache / f"{sha256}.npy"
        if kept is not None and kept.is_file() and digest_of(kept) == sha256:
            return _mapped(kept)
        data = storage.read_bytes(location)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ShardError(f"{location}: not the file that its index.json was written with; copy both again")
        if kept is None:
            return _checked(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False), location)
        _keep(kept, data)
        return _mapped(kept)
    except FileNotFoundError:
        raise ShardError(
            f"{location}: no such file; copy it beside index.json, or make both again by: cxr index"
        ) from None
    except (EOFError, ValueError, TypeError) as error:
        if isinstance(error, (ShardError, StorageError)):
            raise
        raise ShardError(
            f"{location}: damaged ({type(error).__name__}); copy it again, or make the index again by: cxr index"
        ) from None


def patients_of(rows: Rows) -> NDArray[np.bytes_]:
    """List the different patients of some rows.

    Args:
        rows: The rows.
    """
    patients: NDArray[np.bytes_] = np.unique(rows["patient"])
    return patients


def shared_patient(splits: Iterable[NDArray[np.bytes_]]) -> str | None:
    """Find a patient that is in two splits.

    Args:
        splits: Each split's different patients.

    Returns:
        The first such patient, or None.
    """
    found, times = np.unique(np.concatenate(list(splits)), return_counts=True)
    twice = found[times > 1]
    return twice[0].decode() if len(twice) else None


def digest_of(path: Path) -> str:
    """Returns a file's SHA-256.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mapped(path: Path) -> Rows:
    return _checked(np.asarray(np.lib.format.open_memmap(path, mode="r")), str(path))


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Ranks of a node may fetch at one moment, and containers on it may have equal process numbers.
    number, partial = tempfile.mkstemp(".partial", path.name, path.parent)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _checked(rows: NDArray[Any], where: str) -> Rows:
    key = rows.dtype.fields and rows.dtype.fields.get("key")
    if rows.ndim != 1 or not key or rows.dtype != row_type(key[0].itemsize):
        raise ShardError(f"{where}: holds no rows of samples; make the index again by: cxr index")
    return rows
