"""The shard contract in types: what a tar member is called, what its JSON holds, what the index lists.

`shards/README.md` says the same in words and a test holds the two together. Whoever changes a meaning here raises
`SCHEMA`, so that old readers refuse new shards instead of misreading them.
"""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from cxr_lightning.reports.conversations import IMAGE_MARK, Turn
from cxr_lightning.study import Position, Split

SCHEMA = 1
INDEX_NAME = "index.json"
SHARD_NAME = "{split}-{number:06d}.tar"
Format = Literal["jpg", "png"]
FORMATS: tuple[Format, ...] = ("jpg", "png")
RECORD_SUFFIX = "json"
LATERAL_SUFFIX = "lateral.{format}"
KEY_PATTERN = re.compile(r"[a-z0-9_-]+")


class ShardError(ValueError):
    """Shards or their index are not what the contract says: the message says what, where, and what to do."""


class ViewRecord(TypedDict):
    """One image of a sample.

    Attributes:
        member: The tar member's name after the key: "jpg", "png", "lateral.jpg" or "lateral.png".
        position: frontal, lateral or unknown.
        width: Columns in pixels, as stored.
        height: Rows in pixels, as stored.
    """

    member: str
    position: Position
    width: int
    height: int


class SampleRecord(TypedDict):
    """What `{key}.json` holds; the fields stand in this order.

    Attributes:
        schema: `SCHEMA`.
        study: The study's hashed name, as in the key; with `--keep_study_ids` the source's own name.
        patient: The patient's hashed name.
        views: The images, the primary one first.
        split: train, validate or test.
        indication: Why the study was done, without blanked words.
        findings: The cleaned findings.
        impression: The cleaned impression.
        summary: Findings and impression merged: all that stage 1 learns from.
        conversation: The turns that stage 2 learns from.
        labels: Located findings known to be true, or null where nobody knows.
        source: Where the study comes from.
        licence: The licence of image and text.
    """

    schema: int
    study: str
    patient: str
    views: list[ViewRecord]
    split: Split
    indication: str
    findings: str
    impression: str
    summary: str
    conversation: list[Turn]
    labels: list[str] | None
    source: str
    licence: str


class SampleColumns(TypedDict):
    """A shard's samples in the index, one list a property, all of one length and in the tar's order.

    Attributes:
        key: The samples' keys.
        patient: Hashed patients.
        offset: First byte of the sample in the tar.
        size: Bytes of the sample, headers and padding included.
        characters: Length of the summary.
        images: Number of images.
        crc32: CRC-32 of those bytes.
    """

    key: list[str]
    patient: list[str]
    offset: list[int]
    size: list[int]
    characters: list[int]
    images: list[int]
    crc32: list[int]


class ShardRecord(TypedDict):
    """One shard in the index.

    Attributes:
        name: The tar's file name.
        split: The split it belongs to.
        bytes: Its size.
        sha256: Its digest.
        samples: Its samples, column by column.
    """

    name: str
    split: Split
    bytes: int
    sha256: str
    samples: SampleColumns


class ImageRecord(TypedDict):
    """How images are stored.

    Attributes:
        size: The longest side that an image was shrunk to, in pixels.
        format: "jpg" or "png".
    """

    size: int
    format: Format


class SplitRecord(TypedDict):
    """How much a split holds.

    Attributes:
        samples: Number of samples.
        patients: Number of patients.
    """

    samples: int
    patients: int


class IndexRecord(TypedDict):
    """What index.json holds.

    Attributes:
        schema: `SCHEMA`.
        created_by: Program and version.
        image: How images are stored.
        splits: Counts for each split.
        fingerprint: SHA-256 over the shards' names and digests: equal data, equal fingerprint.
        shards: The shards.
    """

    schema: int
    created_by: str
    image: ImageRecord
    splits: dict[str, SplitRecord]
    fingerprint: str
    shards: list[ShardRecord]


__all__ = [
    "FORMATS",
    "IMAGE_MARK",
    "INDEX_NAME",
    "KEY_PATTERN",
    "LATERAL_SUFFIX",
    "RECORD_SUFFIX",
    "SCHEMA",
    "SHARD_NAME",
    "Format",
    "ImageRecord",
    "IndexRecord",
    "SampleColumns",
    "SampleRecord",
    "ShardError",
    "ShardRecord",
    "SplitRecord",
    "Turn",
    "ViewRecord",
]
