"""Samples enter in order, a tar file and its index rows leave: the same bytes for the same samples, always.

Digests are taken while writing, so a shard is never read back. A tar has its name when it is whole and on disk.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.durable import own
from cxr_lightning.shards.looks import NOTHING, Look
from cxr_lightning.shards.rows import Row, ShardRows, rows_of
from cxr_lightning.shards.tar import BLOCK
from cxr_lightning.study import Split

END = bytes(2 * BLOCK)
"""Two empty blocks end a tar archive."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A sample ready to be written.

    Attributes:
        key: Its key.
        patient: Its hashed patient.
        characters: Length of its summary.
        images: Number of its images.
        block: Its stretch of tar, as `sample_bytes` makes it.
        look: What its primary image looks like.
        number: Its study's place in the plan.
        films: Digests of its images, the primary one first.
        identifiers: Kinds of words in its text that may name someone.
        by_rule: Whether rules wrote its summary.
        unknown: Whether nobody says of its primary image how it was taken.
    """

    key: str
    patient: str
    characters: int
    images: int
    block: bytes
    look: Look = NOTHING
    number: int = 0
    films: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    by_rule: bool = True
    unknown: bool = False


def write_shard(path: Path, split: Split, samples: Iterable[Packed]) -> ShardRows:
    """Writes a shard, whole or not at all.

    Args:
        path: The tar. It is not made where there is no sample.
        split: The split it belongs to.
        samples: Its samples, in order.

    Returns:
        The tar with its rows.

    Raises:
        OSError: It could not be written.
    """
    # Two tasks of a cluster may make the same shard: each its own file, and the bytes are the same.
    partial = path.with_name(f"{path.name}.{own()}.partial")
    digest, rows, length = hashlib.sha256(), list[Row](), 0
    try:
        with _named(path):
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            for sample in samples:  # errors of whoever makes them are their own
                rows.append(_row(sample, length))
                length += _put(file, sample.block, path)
                digest.update(sample.block)
            length += _put(file, END, path)
            digest.update(END)
            with _named(path):
                os.fsync(file)
        finally:
            os.close(file)
        if rows:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return ShardRows(path.name, length, digest.hexdigest(), {split: rows_of(rows)})


def _put(file: int, block: bytes, path: Path) -> int:
    """Writes all of a block; a file may take a part of it at a time."""
    left = memoryview(block)
    with _named(path):
        while left:
            left = left[os.write(file, left) :]
    return len(block)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Says which file could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        told = f"{error.strerror}; what is made stays. Remedy: make room there, then the same command goes on"
        raise OSError(error.errno, told, str(path)) from error


def _row(sample: Packed, offset: int) -> Row:
    return Row(
        key=sample.key.encode(),
        patient=sample.patient.encode(),
        shard=0,  # the index says which
        offset=offset,
        size=len(sample.block),
        characters=sample.characters,
        images=sample.images,
        crc32=zlib.crc32(sample.block),
        look=sample.look,
    )
