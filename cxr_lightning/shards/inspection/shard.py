"""One tar enters, is read once from its first byte to its last, and all that is wrong with it leaves, with its counts.

Runs in parallel, a tar at a time. Where headers cannot be followed any further, the index's rows still lead to the
samples behind the damage, so one bad byte does not hide the rest of a shard.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.inspection.checks import Findings
from cxr_lightning.shards.inspection.films import thumbnail
from cxr_lightning.shards.inspection.opening import Tar
from cxr_lightning.shards.inspection.sample import Content, Examiner, How
from cxr_lightning.shards.inspection.tally import Tally
from cxr_lightning.shards.looks import Looks
from cxr_lightning.shards.scanning import Stream, Unused, groups
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.study import SPLITS, Split

LARGEST = 128 << 20
"""Bytes of a sample that are looked at: a study's images have some hundred thousand."""


@dataclass(frozen=True, slots=True)
class Job:
    """One tar to inspect.

    Attributes:
        tar: The tar.
        how: How its samples are looked at.
        films: How many images to bring for the contact sheet.
        texts: Whether to bring their summaries too.
        chosen: Places of the rows to look at, where not all are.
    """

    tar: Tar
    how: How
    films: int
    texts: bool
    chosen: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A film for the contact sheet.

    Attributes:
        order: Hash of its key, by which films are drawn.
        key: The sample's hashed key.
        split: Its split.
        view: What it shows.
        width: Its columns, as stored.
        height: Its rows.
        jpeg: The film, small.
        text: Its summary, where asked for.
    """

    order: bytes
    key: str
    split: str
    view: str
    width: int
    height: int
    jpeg: bytes
    text: str


@dataclass(slots=True)
class Inspected:
    """What one tar came to.

    Attributes:
        name: Its name.
        bytes: Bytes that were read.
        findings: What is wrong with it.
        tally: What its samples hold.
        keys: Hashed keys, (samples,).
        patients: Hashed patients.
        splits: Places in SPLITS.
        looks: (samples, 4).
        digests: Of images, (images, 2): 16 bytes as two numbers.
        films: Place of the sample of each image.
        shown: Films for the contact sheet.
    """

    name: str
    bytes: int
    findings: Findings
    tally: Tally
    keys: NDArray[np.bytes_]
    patients: NDArray[np.bytes_]
    splits: NDArray[np.uint8]
    looks: Looks
    digests: NDArray[np.uint64]
    films: NDArray[np.int64]
    shown: list[Shown] = field(default_factory=list)


def inspect_shard(job: Job) -> Inspected:
    """Inspect one tar.

    Args:
        job: The tar, and how it is looked at.
    """
    return _Inspection(job).run()


class _Inspection:
    """The inspection of one tar."""

    def __init__(self, job: Job) -> None:
        self.job, self.tar = job, job.tar
        self.examiner = Examiner(job.tar.name, job.how)
        self.findings = self.examiner.findings
        self.met: set[int] = set()
        self.seen: set[bytes] = set()
        self.drawn: list[tuple[bytes, str, Content]] = []
        self.read = 0

    def run(self) -> Inspected:
        try:
            size = storage.size_of(self.tar.location)
            if self.tar.bytes is not None and size != self.tar.bytes:
                self._add("shards", f"it has {size} bytes, and the index says {self.tar.bytes}")
            if self.job.chosen is None:
                self._through(size)
            else:
                self._some(size, self.job.chosen)
        except StorageError as error:
            self._add("shards", "it is missing" if error.missing else str(error))
        except OSError as error:
            self._add("shards", f"it cannot be read ({error.strerror})")
        return self._result()

    def _add(self, check: str, what: str, key: str = "") -> None:
        self.findings.add(check, what, shard=self.tar.name, key=key)

    def _through(self, size: int) -> None:
        """Read all of it."""
        stream = Stream(self.tar.location)
        unused: list[Unused] = []
        try:
            for group in groups(stream, unused, LARGEST):
                self._tell_unused(unused)
                self._group(stream, group.key, group.start, group.end)
        except ShardError as error:
            if isinstance(error, StorageError):
                raise
            self._add("tar", str(error).partition(";")[0])
            self._behind(stream, size)
        self._tell_unused(unused)
        whole = stream.keep == size
        sha256, more = stream.finish()
        self.read = size
        if not size:
            self._add("tar", "it is empty")
        elif whole and not self.findings.counts["tar", "error"]:
            told = "it has no end mark; all its members are there, but was it copied whole?"
            self.findings.add("tar", told, shard=self.tar.name, severity="warning")
        elif more and not self.findings.counts["tar", "error"]:
            self._add("tar", f"{more} bytes follow its end mark")
        if self.tar.sha256 and sha256 != self.tar.sha256 and size == self.tar.bytes:
            self._add("shards", "its SHA-256 differs from the index's")
        self._tell_unmet(size)

    def _group(self, stream: Stream, key: str, start: int, end: int) -> None:
        row, split = self._row_at(start)
        if self.job.how.members is not None and self.tar.rows is not None:
            if row is None:  # `cxr index` leaves out what cannot be used, and lists it beside the index
                what = f"the index leaves it out; it lies at byte {start}"
                self.findings.add("samples", what, shard=self.tar.name, key=self.job.how.label(key), severity="warning")
                return
            key = self._listed(key, row)
        label = self.job.how.label(key)
        digest = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8).digest()
        if digest in self.seen:
            self._add("keys", "this key stood before in the tar", label)
        self.seen.add(digest)
        if end - start > LARGEST:
            self._add("tar", f"{end - start} bytes at byte {start}; a sample may have {LARGEST}", label)
            return
        if self.tar.rows is not None and row is None:
            self._add("samples", f"the index does not list it; it lies at byte {start}", label)
        if row is not None and int(row["size"]) != end - start:
            self._add("rows", f"it has {end - start} bytes, and the index says {int(row['size'])}", label)
            row = None
        self._draw(key, self.examiner.examine(key, stream.read(start, end - start), row, split))

    def _listed(self, key: str, row: Any) -> str:
        """Give a sample the key that the index has: where tars number theirs alike, the tar's name is before it."""
        listed = bytes(row["key"]).decode(errors="replace")
        if listed != key and not listed.endswith(f"/{key}"):
            self._add("rows", "the index has another key where this sample lies", self.job.how.label(listed))
        return listed

    def _row_at(self, offset: int) -> tuple[Any, Split | None]:
        rows, splits = self.tar.rows, self.tar.splits
        if rows is None or splits is None:
            return None, None
        place = int(np.searchsorted(rows["offset"], offset))
        if place == len(rows) or int(rows["offset"][place]) != offset:
            return None, None
        self.met.add(place)
        return rows[place], SPLITS[splits[place]]

    def _behind(self, stream: Stream, size: int) -> None:
        """Look at the samples behind a header that leads nowhere, where rows say where they are."""
        for place in self._unmet():
            row = self.tar.rows[place] if self.tar.rows is not None else None
            start, length = (0, 0) if row is None else (int(row["offset"]), int(row["size"]))
            if start < stream.keep or start + length > size or length > LARGEST:
                continue
            stream.keep = start
            self._known(place, stream.read(start, length))

    def _some(self, size: int, chosen: NDArray[np.int64]) -> None:
        """Read some samples alone."""
        for place in chosen.tolist():
            assert self.tar.rows is not None
            row = self.tar.rows[place]
            start, length = int(row["offset"]), int(row["size"])
            if start + length > size or length > LARGEST:
                self._add("samples", "the tar ends before its end", self._label(place))
                continue
            self.read += length
            self._known(place, storage.read_range(self.tar.location, start, length))

    def _known(self, place: int, block: bytes) -> None:
        assert self.tar.rows is not None
        assert self.tar.splits is not None
        row, key = self.tar.rows[place], self._key(place)
        self.met.add(place)
        self._draw(key, self.examiner.examine(key, block, row, SPLITS[self.tar.splits[place]]))

    def _key(self, place: int) -> str:
        assert self.tar.rows is not None
        return bytes(self.tar.rows["key"][place]).decode(errors="replace")

    def _label(self, place: int) -> str:
        return self.job.how.label(self._key(place))

    def _unmet(self) -> Iterator[int]:
        rows = 0 if self.tar.rows is None else len(self.tar.rows)
        return (place for place in range(rows) if place not in self.met)

    def _tell_unmet(self, size: int) -> None:
        assert self.job.chosen is None
        for place in self._unmet():
            assert self.tar.rows is not None
            row = self.tar.rows[place]
            beyond = int(row["offset"]) + int(row["size"]) > size
            told = "the tar is cut off before its end" if beyond else "the index lists it, and the tar does not hold it"
            self._add("samples", told, self._label(place))

    def _tell_unused(self, unused: list[Unused]) -> None:
        for each in unused:
            what = each.reason.partition(";")[0]
            # Of a tar that others wrote the index may leave members out, and says so beside it.
            listed = self.job.how.members is not None and ("no sample" in each.reason)
            if not listed:
                self._add("tar", f"a member at byte {each.at} belongs to no sample: {what}")
        unused.clear()

    def _draw(self, key: str, content: Content | None) -> None:
        """Keep a film for the contact sheet, if it is among the first by hash of its key."""
        if content is None or not content.images or not self.job.films:
            return
        order = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8).digest()
        later = bytes(255 - byte for byte in order)  # the heap's first is the last that is kept
        entry = (later, self.job.how.label(key), content)
        if len(self.drawn) < self.job.films:
            heapq.heappush(self.drawn, entry)
        elif later > self.drawn[0][0]:
            heapq.heapreplace(self.drawn, entry)

    def _shown(self) -> Iterator[Shown]:
        for later, label, content in self.drawn:
            small = thumbnail(next(iter(content.images.values())), self.job.how.most_pixels)
            if small is not None:
                order = bytes(255 - byte for byte in later)
                view = " + ".join(content.positions)
                text = content.summary if self.job.texts else ""
                yield Shown(order, label, content.split, view, *content.sizes[0], small, text)

    def _result(self) -> Inspected:
        known = self.examiner.known
        digests = np.frombuffer(b"".join(digest for _, digest in known.digests), dtype="<u8").reshape(-1, 2)
        return Inspected(
            name=self.tar.name,
            bytes=self.read,
            findings=self.findings,
            tally=self.examiner.tally,
            keys=np.array(known.keys, dtype="S24"),
            patients=np.array(known.patients, dtype="S24"),
            splits=np.array(known.splits, dtype=np.uint8),
            looks=np.array(known.looks, dtype=np.uint64).reshape(-1, 4),
            digests=digests.astype(np.uint64),
            films=np.array([place for place, _ in known.digests], dtype=np.int64),
            shown=list(self._shown()),
        )
