"""One sample as bytes: members become a stretch of tar, and a stretch of tar becomes the sample again.

The stretch holds whole tar blocks with nothing of its own time or owner in them, so it can be made by any worker, set
after any other, and read back alone by one range read. Plain ustar headers: every tar program reads the result.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.shards.contract import KEY_PATTERN, RECORD_SUFFIX, SCHEMA, SampleRecord, ShardError
from cxr_lightning.shards.tar import BLOCK, Entry, entries


@dataclass(frozen=True, slots=True)
class RawSample:
    """A sample as it lies in its shard.

    Attributes:
        key: The name that its members share.
        record: What its JSON member holds.
        images: The encoded images by member suffix ("jpg", "lateral.jpg"), the primary one first; none where the sample
            is text alone.
    """

    key: str
    record: SampleRecord
    images: dict[str, bytes]


def sample_bytes(key: str, record: SampleRecord, images: dict[str, bytes]) -> bytes:
    """Lay a sample out as tar members.

    Args:
        key: Letters, digits, "_" and "-"; no dot, for the first dot ends the key.
        record: The JSON member.
        images: Encoded images by member suffix, the primary one first.

    Returns:
        Whole tar blocks: the JSON member, then the images. Equal input, equal bytes.
    """
    assert KEY_PATTERN.fullmatch(key), key
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    members = {RECORD_SUFFIX: text, **images}
    return b"".join(_member(f"{key}.{suffix}", data) for suffix, data in members.items())


def read_sample(file: BinaryIO, offset: int, size: int) -> RawSample:
    """Read one sample of an open shard.

    Args:
        file: The tar, opened for reading bytes.
        offset: First byte of the sample, from the index.
        size: Bytes of the sample, from the index.

    Raises:
        ShardError: The bytes there are no sample.
    """
    file.seek(offset)
    block = file.read(size)
    where = f"{getattr(file, 'name', 'shard')}, bytes {offset} to {offset + size}"
    if len(block) != size:
        raise ShardError(f"{where}: the file ends after {len(block)} of {size} bytes; copy or pack the shard again")
    return parse_sample(block, where)


def parse_sample(block: bytes, where: str = "sample") -> RawSample:
    """Take a stretch of tar apart.

    Args:
        block: The bytes that the index names for one sample.
        where: What to call it in an error.

    Raises:
        ShardError: The bytes are no sample of this schema.
    """
    members = dict(_members(block, where))
    keys = {name.partition(".")[0] for name in members}
    suffixes = {name.partition(".")[2]: data for name, data in members.items()}
    if len(keys) != 1 or next(iter(suffixes)) != RECORD_SUFFIX:
        raise ShardError(
            f"{where}: holds {sorted(members)}, not one JSON member and its images; does the index fit the tar?"
        )
    try:
        record: SampleRecord = json.loads(suffixes.pop(RECORD_SUFFIX))
        schema, views = record["schema"], record.get("views")
        whole = len(suffixes) >= (1 if views is None else len(views))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ShardError(f"{where}: its JSON member is not a sample's; pack the shards again") from None
    if schema != SCHEMA:
        raise ShardError(f"{where}: schema {schema}, and this version reads {SCHEMA}; pack again or use that version")
    if not whole:  # else an image that was lost would make a sample of text alone
        raise ShardError(f"{where}: fewer images are there than its record lists; does the index fit the tar?")
    return RawSample(keys.pop(), record, suffixes)


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Decode a sample's image.

    Args:
        data: A JPEG or PNG out of a shard.

    Returns:
        Gray levels of shape (height, width).
    """
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert("L"))


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)  # time, owner and group are 0 unless set
    info.size = len(data)
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + data + bytes(-len(data) % BLOCK)


def _members(block: bytes, where: str) -> list[tuple[str, bytes]]:
    found: list[Entry] = []
    try:
        found.extend(entries(lambda offset, size: block[offset : offset + size], len(block)))
    except ShardError as error:
        raise ShardError(f"{where}: {error}; does the index fit the tar?") from None
    if not found or found[-1].end != len(block) or any(entry.kind != "file" for entry in found):
        raise ShardError(f"{where}: holds other things than whole files; does the index fit the tar?")
    return [(entry.name, block[entry.data : entry.data + entry.size]) for entry in found]
