"""A sample of a tar that others wrote enters, the same `RawSample` leaves that our own tars give.

Names are taken apart as WebDataset does: the key is all before the first dot of the last part of the path, the suffix
all behind it, in lower case. The text becomes the summary and the answer to one request for a description; what such
tars do not know stays empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL.Image import DecompressionBombError

from cxr_lightning.reports.conversations import Said, converse
from cxr_lightning.reports.textual import converse_in_text
from cxr_lightning.shards.contract import IMAGE_MARK, SCHEMA, MembersRecord, SampleRecord, ShardError, ViewRecord
from cxr_lightning.shards.images import ImageError, opened
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.shards.tar import entries
from cxr_lightning.study import Split

_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)


class MemberError(ValueError):
    """A sample of a tar that others wrote cannot be used.

    Attributes:
        kind: Why, in words that are the same for all samples of which it is true.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a tar.

    Attributes:
        suffix: Suffix of its member.
        data: As it is encoded.
        format: JPEG or PNG.
        width: Its columns.
        height: Its rows.
    """

    suffix: str
    data: bytes
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a sample is made of.

    Attributes:
        text: What is said, about the image where there is one.
        image: The image; None where the tars are of text alone.
    """

    text: str
    image: Image | None


def key_and_suffix(name: str) -> tuple[str, str] | None:
    """Take a member's name apart.

    Args:
        name: Its path in the tar.

    Returns:
        Key and suffix, or None where it has no suffix or is hidden.
    """
    while name.startswith("./"):
        name = name[2:]
    match = _NAME.fullmatch(name)
    return (match[1], match[2].lower()) if match else None


def take(files: Mapping[str, bytes], members: MembersRecord) -> Taken:
    """Choose image and text among a sample's members.

    Args:
        files: Content by suffix.
        members: Which to take; no image, where they name no suffix for one.

    Raises:
        MemberError: One is missing or cannot be used.
    """
    text = field(files, members["text"], "text").strip()
    if not text:
        raise MemberError("text empty", f"'{members['text']}' is empty")
    if IMAGE_MARK in text:
        raise MemberError("text marks images", f"'{members['text']}' holds {IMAGE_MARK}, which marks an image's place")
    if not members["image"]:
        return Taken(text, None)
    suffix = next((suffix for suffix in members["image"] if suffix in files), None)
    if suffix is None:
        raise MemberError("no image", f"there is no {' or '.join(members['image'])} among {', '.join(sorted(files))}")
    format, width, height = _looked_at(files[suffix])
    return Taken(text, Image(suffix, files[suffix], format, width, height))


def field(files: Mapping[str, bytes], name: str, what: str) -> str:
    """Read a text or number: a whole member, or a field of a JSON member.

    Args:
        files: Content by suffix.
        name: A suffix, or the suffix of a JSON member and the way to the field, with dots between: `json.caption`.
        what: What to call it in an error.

    Raises:
        MemberError: It is missing, or neither text nor number.
    """
    try:
        if name in files:
            return files[name].decode("utf-8-sig")
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            suffix = ".".join(parts[:cut])
            if suffix in files:
                return _inside(json.loads(files[suffix]), parts[cut:], name, what)
    except UnicodeDecodeError:
        raise MemberError(f"{what} is no UTF-8", f"'{name}' is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, MemberError):
            raise
        raise MemberError(f"{what} is no JSON", f"'{name}': its member is not readable as JSON") from None
    raise MemberError(f"no {what}", f"there is no '{name}' among {', '.join(sorted(files))}")


def assemble(block: bytes, where: str, *, members: MembersRecord, key: str, patient: str, split: Split) -> RawSample:
    """Take a stretch of a tar apart that others wrote.

    Args:
        block: The bytes that the index names for one sample.
        where: What to call it in an error.
        members: Which members to take.
        key: The sample's key in the index.
        patient: Its hashed patient.
        split: Its split.

    Raises:
        ShardError: The bytes are no such sample.
    """
    try:
        taken = take(files_of(block), members)
    except (MemberError, ShardError) as error:
        raise ShardError(f"{where}: {error}; does the index fit the tar? Make it again by: cxr index") from None
    seen, said = taken.image, Said(taken.text)
    views: list[ViewRecord] = []
    if seen is not None:
        views = [ViewRecord(member=seen.suffix, position="unknown", width=seen.width, height=seen.height)]
    record = SampleRecord(
        schema=SCHEMA,
        study=key,
        patient=patient,
        views=views,
        split=split,
        indication="",
        findings="",
        impression="",
        summary=taken.text,
        conversation=converse_in_text(said, key) if seen is None else converse(said, key, "describe"),
        labels=None,
        source="",
        licence="",
    )
    return RawSample(key, record, {} if seen is None else {seen.suffix: seen.data})


def files_of(block: bytes) -> dict[str, bytes]:
    """List the files in a stretch of tar by suffix.

    Args:
        block: Whole members of one sample.

    Raises:
        ShardError: The bytes are no members of a tar.
    """
    files: dict[str, bytes] = {}
    for entry in entries(lambda offset, size: block[offset : offset + size], len(block)):
        parts = key_and_suffix(entry.name)
        if entry.kind == "file" and parts:
            files[parts[1]] = block[entry.data : entry.data + entry.size]
    return files


def _inside(value: Any, path: list[str], name: str, what: str) -> str:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            raise MemberError(f"no {what}", f"there is no '{name}' in its JSON member")
        value = value[part]
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise MemberError(f"{what} is no text", f"'{name}' is neither text nor a whole number")
    try:
        str(value).encode()  # JSON can write half a surrogate pair, which no tokenizer takes
    except UnicodeEncodeError:
        raise MemberError(f"{what} is no text", f"'{name}' holds half a surrogate pair") from None
    return str(value)


def _looked_at(data: bytes) -> tuple[str, int, int]:
    """Read an image's header: a million samples are indexed in minutes, not decoded in hours."""
    try:
        with opened(data) as image:
            return str(image.format), image.width, image.height
    except ImageError as error:
        raise MemberError("image unusable", str(error)) from None
    except (OSError, SyntaxError, ValueError, DecompressionBombError):
        raise MemberError("image unusable", "not a PNG or JPEG file, or damaged") from None
