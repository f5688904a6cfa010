"""One tar enters, read once from its first byte to its last; rows, digest and what cannot be used leave.

Runs in parallel, a tar at a time, so it decides only what the tar itself says: patients and splits that depend on all
of them are left open.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards import members as foreign
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import KEY_PATTERN, MembersRecord, ShardError
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.looks import NOTHING, look_of
from cxr_lightning.shards.members import MemberError
from cxr_lightning.shards.rows import LONGEST_KEY, LONGEST_PATIENT, Row, Rows, rows_of
from cxr_lightning.shards.sample import parse_sample
from cxr_lightning.shards.tar import Entry, entries
from cxr_lightning.study import SPLITS

UNDECIDED = 255
LARGEST_SAMPLE = 1 << 30
_PIECE = 16 << 20
_UNSPEAKABLE = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]")  # surrogates stand for bytes that are no UTF-8


@dataclass(frozen=True, slots=True)
class How:
    """How a tar is read.

    Attributes:
        members: Which members to take; None where samples are as `cxr pack` writes them.
        patient: The member or field that names the patient; None where nothing does.
        secret: Key of the patients' hashes.
    """

    members: MembersRecord | None
    patient: str | None
    secret: str


@dataclass(frozen=True, slots=True)
class Unused:
    """Something in a tar that cannot be used.

    Attributes:
        name: The sample's key, or the member's name.
        kind: Why, in words that are the same for all of which it is true.
        reason: Why, in full.
        at: Its first byte in the tar.
    """

    name: str
    kind: str
    reason: str
    at: int = 0


@dataclass(slots=True)
class Scanned:
    """What one tar holds.

    Attributes:
        location: Path or URL.
        bytes: Its size.
        sha256: Its digest.
        rows: Its usable samples; an empty patient is still to be given.
        splits: Each row's split as a place in SPLITS, or UNDECIDED.
        unused: What cannot be used.
        suffixes: How often each member suffix occurs.
        formats: How many samples have an image of each format.
        longest: Longest side of an image, in pixels.
    """

    location: str
    bytes: int
    sha256: str
    rows: Rows
    splits: NDArray[np.uint8]
    unused: list[Unused]
    suffixes: Counter[str]
    formats: Counter[str]
    longest: int


@dataclass(slots=True)
class _Group:
    """Neighbouring members of one key."""

    key: str
    start: int
    end: int
    suffixes: list[str] = field(default_factory=list)


def scan(location: str, how: How) -> Scanned | str:
    """Read a tar.

    Args:
        location: Path or URL.
        how: How its samples are read.

    Returns:
        What it holds, or what is wrong with it as a whole.
    """
    try:
        return _Scan(location, how).run()
    except ShardError as error:
        return f"{location}: {error}"


def looks_packed(location: str) -> bool:
    """Tell whether a tar's first sample is as `cxr pack` writes it.

    Args:
        location: Path or URL.

    Raises:
        StorageError: It cannot be read.
    """
    stream = Stream(location)
    try:
        for group in groups(stream, []):
            parse_sample(stream.read(group.start, group.end - group.start))
            return True
    except ShardError:
        return False
    return False


class Stream:
    """The bytes of a location, read forwards, once, in large pieces, with their digest.

    Args:
        location: Path or URL.

    Attributes:
        length: Its size.
        keep: Bytes before this offset are not asked for again.
    """

    def __init__(self, location: str) -> None:
        self.location, self.length, self.keep = location, storage.size_of(location), 0
        self._held, self._start = bytearray(), 0
        self._digest = hashlib.sha256()

    def read(self, offset: int, size: int) -> bytes:
        """Give some bytes.

        Args:
            offset: The first, not before `keep`.
            size: How many; they are there.
        """
        while self._start + len(self._held) < offset + size:
            self._more()
        return bytes(memoryview(self._held)[offset - self._start : offset - self._start + size])

    def finish(self) -> tuple[str, int]:
        """Read on to the last byte.

        Returns:
            The digest of all bytes, and how many bytes from `keep` on are not zero.
        """
        self._trim()
        noise = len(self._held) - self._held.count(0)
        while self._start + len(self._held) < self.length:
            self.keep = self._start + len(self._held)
            self._more()
            noise += len(self._held) - self._held.count(0)
        return self._digest.hexdigest(), noise

    def _more(self) -> None:
        self._trim()
        at = self._start + len(self._held)
        piece = storage.read_range(self.location, at, min(_PIECE, self.length - at))
        self._digest.update(piece)
        self._held += piece

    def _trim(self) -> None:
        gone = min(self.keep - self._start, len(self._held))
        if gone > 0:
            del self._held[:gone]
            self._start += gone


def groups(stream: Stream, unused: list[Unused], largest: int = LARGEST_SAMPLE) -> Iterator[_Group]:
    """Join neighbouring members of one key.

    Args:
        stream: The tar.
        unused: Takes what belongs to no sample.
        largest: Bytes of a group that are held at the most.

    Yields:
        The groups, in order; the bytes of one can be read until the next is asked for.
    """
    group: _Group | None = None
    for entry in entries(stream.read, stream.length):
        parts = _parts(entry, unused)
        if parts and (group is None or parts[0] != group.key):
            if group is not None:
                yield group
            group = _Group(parts[0], entry.start, entry.end)
        if parts and group is not None:
            group.end = entry.end
            group.suffixes.append(parts[1])
        # A stretch too large to be a sample is read over, not held.
        small = group is not None and entry.end - group.start <= largest
        stream.keep = group.start if group is not None and small else entry.end
    if group is not None:
        yield group
        stream.keep = group.end


def _parts(entry: Entry, unused: list[Unused]) -> tuple[str, str] | None:
    """Give key and suffix of a member that can be part of a sample; any other is listed, folders aside."""
    name = entry.name
    reason = None
    if entry.kind == "folder":
        return None
    if _UNSPEAKABLE.search(name):
        name, reason = ascii(name), "its name is not UTF-8 or holds control characters; rename it"
    elif name.startswith("/") or ".." in name.split("/"):
        reason = "its name leads out of the archive; make the tar with names from its own folder"
    elif entry.kind != "file":
        reason = f"it is a {entry.kind}; a sample's members are plain files"
    parts = foreign.key_and_suffix(name)
    if reason is None and parts is None:
        reason = "its name is not KEY.SUFFIX, so it belongs to no sample"
    if reason is None and parts is not None and len(parts[0].encode()) > LONGEST_KEY:
        reason = f"its key is longer than {LONGEST_KEY} bytes; rename it"
    if reason is None:
        return parts
    unused.append(Unused(name[:LONGEST_KEY], "member outside every sample", reason, entry.start))
    return None


class _Scan:
    """The reading of one tar."""

    def __init__(self, location: str, how: How) -> None:
        self.stream, self.how = Stream(location), how
        self.rows: list[Row] = []
        self.splits: list[int] = []
        self.unused: list[Unused] = []
        self.suffixes: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.longest = 0
        self.seen: set[str] = set()

    def run(self) -> Scanned:
        """Read all of it."""
        for group in groups(self.stream, self.unused):
            self.suffixes.update(group.suffixes)
            try:
                self._check(group)
                block = self.stream.read(group.start, group.end - group.start)
                self._add(group, block, *(self._packed(block) if self.how.members is None else self._foreign(block)))
            except MemberError as error:
                self.unused.append(Unused(group.key, error.kind, str(error)))
            self.seen.add(group.key)
        if self.stream.keep == self.stream.length:
            reason = "no end mark; all its members are there, but if it should hold more, copy it again"
            self.unused.append(Unused("", "no end mark", reason))
        sha256, more = self.stream.finish()
        if more:
            reason = f"{more} bytes follow the archive's end mark; were several tars joined? Give them one by one"
            self.unused.append(Unused("", "bytes after the end", reason))
        return Scanned(
            location=self.stream.location,
            bytes=self.stream.length,
            sha256=sha256,
            rows=rows_of(self.rows),
            splits=np.array(self.splits, np.uint8),
            unused=self.unused,
            suffixes=self.suffixes,
            formats=self.formats,
            longest=self.longest,
        )

    def _check(self, group: _Group) -> None:
        if group.key in self.seen:
            raise MemberError("key again", "this key stood before in this tar; a sample's members must be neighbours")
        if len(set(group.suffixes)) != len(group.suffixes):
            raise MemberError("member twice", "two of its members have one name")
        if group.end - group.start > LARGEST_SAMPLE:
            raise MemberError("too large", f"{group.end - group.start} bytes; a sample may have {LARGEST_SAMPLE}")

    def _add(self, group: _Group, block: bytes, patient: str, split: int, characters: int, images: list[bytes]) -> None:
        crc32, look = zlib.crc32(block), look_of(images[0]) if images else NOTHING
        counts = (len(block), characters, len(images), crc32, look)
        row = Row(group.key.encode(), patient.encode(), 0, group.start, *counts)
        self.rows.append(row)
        self.splits.append(split)

    def _packed(self, block: bytes) -> tuple[str, int, int, list[bytes]]:
        try:
            sample = parse_sample(block)
            record = sample.record
            patient, split, characters = record["patient"], SPLITS.index(record["split"]), len(record["summary"])
            if not (KEY_PATTERN.fullmatch(patient) and len(patient) <= LONGEST_PATIENT):
                raise ShardError("its patient is not hashed")
            self.formats.update(suffix.rpartition(".")[2] for suffix in list(sample.images)[:1])
            self.longest = max([self.longest, *(max(view["width"], view["height"]) for view in record["views"])])
        except (ShardError, KeyError, TypeError, ValueError) as error:
            raise MemberError("no packed sample", f"it is no sample of cxr pack ({error})") from None
        return patient, split, characters, list(sample.images.values())

    def _foreign(self, block: bytes) -> tuple[str, int, int, list[bytes]]:
        assert self.how.members is not None
        files = foreign.files_of(block)
        taken = foreign.take(files, self.how.members)
        patient = ""
        if self.how.patient is not None:
            name = foreign.field(files, self.how.patient, "patient").strip()
            if not name:
                raise MemberError("no patient", f"'{self.how.patient}' is empty")
            patient = hashed(name, "patient", self.how.secret)
        if taken.image is not None:
            self.formats["jpg" if taken.image.format == "JPEG" else "png"] += 1
            self.longest = max(self.longest, taken.image.width, taken.image.height)
        return patient, UNDECIDED, len(taken.text), [] if taken.image is None else [taken.image.data]
