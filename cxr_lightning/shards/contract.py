"""The shard contract in types: what a tar member is called, what its JSON holds, what the index lists.

`shards/README.md` says the same in words and a test holds the two together. Whoever changes a meaning here raises
`SCHEMA` (samples) or `INDEX_SCHEMA` (index), so that old readers refuse new shards instead of misreading them.
"""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from cxr_lightning.reports.conversations import IMAGE_MARK, Turn
from cxr_lightning.study import Position, Split

SCHEMA = 1
INDEX_SCHEMA = 3
INDEX_NAME = "index.json"
ROWS_NAME = "index.npy"
SHARD_NAME = "{split}-{number:06d}.tar"
Format = Literal["jpg", "png"]
FORMATS: tuple[Format, ...] = ("jpg", "png")
RECORD_SUFFIX = "json"
LATERAL_SUFFIX = "lateral.{format}"
LARGEST_RECORD = 4 << 20
"""Bytes of a sample's JSON: a report with all its turns has a few thousand, and more is a mistake or a joke."""
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
        views: The images, the primary one first; none where there is text alone.
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


class ShardRecord(TypedDict):
    """One shard in the index.

    Attributes:
        name: The tar's file name where it lies beside the index, else its absolute path or its URL.
        bytes: Its size.
        sha256: Its digest.
        samples: How many samples of each split it holds; splits without any are not named.
    """

    name: str
    bytes: int
    sha256: str
    samples: dict[Split, int]


class ImageRecord(TypedDict):
    """How images are stored.

    Attributes:
        size: The longest side that an image was shrunk to, in pixels; in tars that others wrote, the longest seen.
        format: "jpg" or "png"; in tars that others wrote, the commonest.
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


class MembersRecord(TypedDict):
    """How samples of tars that others wrote are read.

    Attributes:
        image: Member suffixes that may hold the image, the wanted one first; none where the tars are of text alone.
        text: The member that holds the text ("txt"), or a field of a JSON member ("json.caption").
    """

    image: list[str]
    text: str


class RowsRecord(TypedDict):
    """The file that lists the samples.

    Attributes:
        name: `ROWS_NAME`, beside index.json.
        sha256: Its digest.
    """

    name: str
    sha256: str


class IndexRecord(TypedDict):
    """What index.json holds.

    Attributes:
        schema: `INDEX_SCHEMA`.
        created_by: Program and version.
        image: How images are stored.
        members: How samples are read; null where their JSON member is a `SampleRecord`.
        splits: Counts for each split.
        fingerprint: SHA-256 over all that decides what is read under which number: equal data, equal fingerprint.
        rows: The file that lists the samples.
        shards: The shards; a row names one by its place here.
    """

    schema: int
    created_by: str
    image: ImageRecord
    members: MembersRecord | None
    splits: dict[Split, SplitRecord]
    fingerprint: str
    rows: RowsRecord
    shards: list[ShardRecord]


__all__ = [
    "FORMATS",
    "IMAGE_MARK",
    "INDEX_NAME",
    "INDEX_SCHEMA",
    "KEY_PATTERN",
    "LATERAL_SUFFIX",
    "RECORD_SUFFIX",
    "ROWS_NAME",
    "SCHEMA",
    "SHARD_NAME",
    "Format",
    "ImageRecord",
    "IndexRecord",
    "MembersRecord",
    "RowsRecord",
    "SampleRecord",
    "ShardError",
    "ShardRecord",
    "SplitRecord",
    "Turn",
    "ViewRecord",
]
