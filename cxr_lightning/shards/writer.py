"""Samples enter in order, tar files and their index rows leave: the same bytes for the same samples, always.

Digests are taken while writing, so a shard is never read back. The writer fills one folder and knows nothing of the
final place; `aside` gives it a folder that becomes the final one by a rename, or vanishes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cxr_lightning.shards.contract import INDEX_NAME, ROWS_NAME, SHARD_NAME
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
    """

    key: str
    patient: str
    characters: int
    images: int
    block: bytes
    look: Look = NOTHING


@dataclass(slots=True)
class _Shard:
    """The shard being written."""

    name: str
    file: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    length: int = 0
    samples: list[Row] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.length += len(data)


class SplitWriter:
    """Writes one split's shards into a folder.

    Args:
        folder: Where the tars go.
        split: Which split they belong to.
        samples_per_shard: A shard is full with so many samples.
    """

    def __init__(self, folder: Path, split: Split, samples_per_shard: int) -> None:
        if samples_per_shard < 1:
            raise ValueError(f"--samples_per_shard {samples_per_shard}: must be at least 1")
        self.shards: list[ShardRows] = []
        self._folder, self._split, self._capacity = folder, split, samples_per_shard
        self._open: _Shard | None = None

    def write(self, sample: Packed) -> None:
        """Append a sample.

        Args:
            sample: The next sample in order.
        """
        shard = self._open or self._start()
        shard.samples.append(
            Row(
                key=sample.key.encode(),
                patient=sample.patient.encode(),
                shard=len(self.shards),
                offset=shard.length,
                size=len(sample.block),
                characters=sample.characters,
                images=sample.images,
                crc32=zlib.crc32(sample.block),
                look=sample.look,
            )
        )
        shard.write(sample.block)
        if len(shard.samples) == self._capacity:
            self._finish()

    def __enter__(self) -> SplitWriter:
        """Start writing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the last shard, or leave it as it is after an error."""
        if kind is None:
            self._finish()
        elif self._open:
            self._open.file.close()

    def _start(self) -> _Shard:
        name = SHARD_NAME.format(split=self._split, number=len(self.shards))
        self._open = _Shard(name, (self._folder / name).open("xb"))
        return self._open

    def _finish(self) -> None:
        if self._open is None:
            return
        shard, self._open = self._open, None
        shard.write(END)
        with shard.file as file:
            file.flush()
            os.fsync(file.fileno())
        rows = {self._split: rows_of(shard.samples)}
        self.shards.append(ShardRows(shard.name, shard.length, shard.digest.hexdigest(), rows))


@contextmanager
def aside(final: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a folder to fill that becomes the final one if all goes well, and is removed if not.

    Args:
        final: Where the result belongs.
        overwrite: Replace a folder that is there and not empty.

    Yields:
        `final` with ".partial" at its end, empty.

    Raises:
        ValueError: The final folder holds something that may not be replaced, or a partial folder is there.
    """
    final = final.resolve()
    if final.exists() and not final.is_dir():
        raise ValueError(f"{final}: is a file; give a folder")
    if final.is_dir() and any(final.iterdir()):
        if not overwrite:
            raise ValueError(f"{final}: is not empty; give another folder, or --overwrite true to replace it")
        _refuse_strangers(final)
    partial = final.with_name(final.name + ".partial")
    if overwrite and partial.is_dir():
        _refuse_strangers(partial)
        shutil.rmtree(partial)
    try:
        partial.mkdir(parents=True)
    except FileExistsError:
        raise ValueError(
            f"{partial}: is there already. Either another run is writing it, or one was killed; then remove it, "
            "or give --overwrite true"
        ) from None
    try:
        yield partial
        _replace(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _refuse_strangers(folder: Path) -> None:
    """Refuse to replace a folder with anything in it that packing does not make: a slip of the hand costs no data."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".tar" and not path.name.startswith((INDEX_NAME, ROWS_NAME)):
            raise ValueError(
                f"{folder}: holds '{path.name}', which no shard is; --overwrite replaces folders of shards only"
            )


def _replace(partial: Path, final: Path) -> None:
    """Rename a folder over another; the old one is whole until the new one stands."""
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    if final.is_dir():
        final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)
