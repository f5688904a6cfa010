"""One sample's bytes and its row enter; what is wrong with it and what all samples together need of it leave."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cxr_lightning.findings.located import LABELS
from cxr_lightning.reports.conversations import Turn
from cxr_lightning.shards import members as foreign
from cxr_lightning.shards.contract import KEY_PATTERN, RECORD_SUFFIX, SCHEMA, MembersRecord, SampleRecord, ShardError
from cxr_lightning.shards.identity import hashed, kinds_in_name, kinds_in_origin
from cxr_lightning.shards.images import MOST_PIXELS
from cxr_lightning.shards.inspection.checks import Findings, Severity
from cxr_lightning.shards.inspection.films import Film, FilmError, examine
from cxr_lightning.shards.inspection.tally import Tally
from cxr_lightning.shards.inspection.types import JsonError, misfit, parse, texts_of
from cxr_lightning.shards.inspection.words import check_letters, check_summary, check_turns
from cxr_lightning.shards.looks import NOTHING, Look
from cxr_lightning.shards.rows import LONGEST_PATIENT
from cxr_lightning.shards.tar import entries
from cxr_lightning.study import SPLITS, Split

_LABELS = frozenset(LABELS)
_OTHER = "(no located finding)"
_NAMED = "(may name someone)"
Row = Any
"""A row of the index, as numpy gives it."""


@dataclass(frozen=True, slots=True)
class How:
    """How samples are looked at.

    Attributes:
        members: Which members to take; None where samples are as `cxr pack` writes them.
        size: Longest side that an image may have; None where nothing says.
        decode: Whether images are decoded.
    """

    members: MembersRecord | None
    size: int | None
    decode: bool

    @property
    def most_pixels(self) -> int:
        """The most pixels that an image may have."""
        return MOST_PIXELS if self.size is None else min(MOST_PIXELS, self.size**2)

    def label(self, key: str) -> str:
        """Give the name of a sample that may be told.

        Args:
            key: Its key. One of `cxr pack` is a hash; any other is hashed here, for it may name a patient.
        """
        return key if self.members is None and is_hash(key) else hashed(_utf8(key), "study")


def is_hash(name: str) -> bool:
    """Tell hashed names from others.

    Args:
        name: A key or a patient.
    """
    return len(name) == LONGEST_PATIENT and not name.strip("0123456789abcdef")


@dataclass(slots=True)
class Known:
    """What is kept of samples to hold all of them against one another; lists of one length, but for `digests`.

    Attributes:
        keys: Their hashed keys.
        patients: Their hashed patients.
        splits: Places in SPLITS.
        looks: Of their primary images.
        digests: Of all their images' pixels, with the place of the sample.
    """

    keys: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    digests: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Content:
    """What a sample holds, whoever wrote it."""

    split: Split
    patient: str
    summary: str
    sections: tuple[str, ...]
    texts: tuple[str, ...]
    turns: tuple[Turn, ...] | None
    labels: tuple[str, ...] | None
    source: tuple[str, str]
    images: Mapping[str, bytes]
    positions: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


class Examiner:
    """Looks at samples one after another.

    Args:
        shard: Name of the shard they are in.
        how: How they are looked at.
    """

    def __init__(self, shard: str, how: How) -> None:
        self.shard, self.how = shard, how
        self.findings, self.tally, self.known = Findings(), Tally(), Known()

    def examine(self, key: str, block: bytes, row: Row | None = None, split: Split | None = None) -> Content | None:
        """Look at one sample.

        Args:
            key: Its key in the tar.
            block: Its stretch of tar.
            row: Its row in the index; None where no index lists it.
            split: Its split by the index.

        Returns:
            What it holds; None where that cannot be said.
        """
        label = self.how.label(key)
        if row is not None and zlib.crc32(block) != int(row["crc32"]):
            self._add("checksums", "its CRC-32 differs from the index's: a byte of it changed", label)
            return None
        files = self._files(block, label)
        if files is None:
            return None
        content = (
            self._packed(key, label, files) if self.how.members is None else self._foreign(label, files, row, split)
        )
        if content is None:
            return None
        films = self._films(label, content, wants_look=row is None or not any(row["look"].tolist()))
        if row is not None and split is not None:
            self._against(label, key, content, row, split)
        self._words(label, content)
        self._count(content, films)
        self._keep(label, content, films, row)
        return content

    def _add(self, check: str, what: str, label: str, severity: Severity = "error") -> None:
        self.findings.add(check, what, shard=self.shard, key=label, severity=severity)

    def _files(self, block: bytes, label: str) -> dict[str, bytes] | None:
        files: dict[str, bytes] = {}
        try:
            for entry in entries(lambda offset, size: block[offset : offset + size], len(block)):
                parts = foreign.key_and_suffix(entry.name)
                if entry.kind != "file" or parts is None:
                    continue  # told when the tar was read
                if parts[1] in files:
                    self._add("tar", "two of its members have one name", label)
                    return None
                files[parts[1]] = block[entry.data : entry.data + entry.size]
        except ShardError:
            self._add("tar", "what the index calls this sample is no whole members of a tar", label)
            return None
        return files

    def _packed(self, key: str, label: str, files: dict[str, bytes]) -> Content | None:
        if not KEY_PATTERN.fullmatch(key):
            self._add("keys", "its key has other letters than a hash", label)
        data = files.pop(RECORD_SUFFIX, None)
        if data is None:
            self._add("records", f"it has no {RECORD_SUFFIX} member", label)
            return None
        try:
            record: Any = parse(data)
        except JsonError as error:
            self._add(
                "records", f"its record is {error}" if "bytes" not in str(error) else f"its record: {error}", label
            )
            return None
        schema = record.get("schema") if isinstance(record, dict) else None
        if schema != SCHEMA or isinstance(schema, bool):
            told = schema if type(schema) is int else "none"
            self._add("records", f"its schema is {told}, and this version reads {SCHEMA}", label)
            return None
        if fault := misfit(record, SampleRecord):
            self._add("records", fault, label)
            return None
        self._names(key, record, label)
        return self._content(record, files, label)

    def _names(self, key: str, record: SampleRecord, label: str) -> None:
        """Look at what a record is called, and at what `cxr pack` never writes."""
        if not is_hash(record["patient"]):
            self._add("records", "its patient is not hashed", label)
        study = record["study"]
        if is_hash(study) and study != key:
            self._add("records", "its study is another's hash than its key", label)
        elif study != key and kinds_in_name(study):
            self._add("identifiers", "its study's own name may name someone", label)
        if more := len(record.keys() - SampleRecord.__annotations__.keys()):
            self._add("records", f"it has {more} fields that the contract does not know", label, "warning")
        if unknown := len(set(record["labels"] or ()) - _LABELS):
            self._add("records", f"{unknown} of its labels are no located findings", label, "warning")

    def _content(self, record: SampleRecord, files: dict[str, bytes], label: str) -> Content:
        listed = [view["member"] for view in record["views"]]
        missing = [ascii(each) for each in listed if each not in files]
        if missing:
            self._add("images", f"missing: {', '.join(missing)}, which its record lists", label)
        if more := len(files.keys() - set(listed)):
            self._add("images", f"it has {more} members that its record does not list", label)
        if len(set(listed)) != len(listed):
            self._add("images", "its record lists an image twice", label)
        turns = tuple(record["conversation"])
        said = [record["indication"], record["findings"], record["impression"], record["summary"]]
        said += [*(record["labels"] or ()), *texts_of(record, but=SampleRecord.__annotations__.keys())]
        return Content(
            split=record["split"],
            patient=record["patient"],
            summary=record["summary"],
            sections=(record["findings"], record["impression"]),
            texts=tuple(dict.fromkeys(filter(None, [*said, *(turn["content"] for turn in turns)]))),
            turns=turns,
            labels=None if record["labels"] is None else tuple(record["labels"]),
            source=(record["source"], record["licence"]),
            images={each: files[each] for each in listed if each in files},
            positions=tuple(view["position"] for view in record["views"]),
            sizes=tuple((view["width"], view["height"]) for view in record["views"] if view["member"] in files),
        )

    def _foreign(self, label: str, files: dict[str, bytes], row: Row | None, split: Split | None) -> Content | None:
        assert self.how.members is not None
        try:
            taken = foreign.take(files, self.how.members)
        except (foreign.MemberError, ShardError) as error:
            kind = error.kind if isinstance(error, foreign.MemberError) else "no members"
            self._add("images" if "image" in kind else "records", f"it cannot be used: {kind}", label)
            return None
        image = taken.image
        return Content(
            split=split or "train",
            patient="" if row is None else row["patient"].decode(errors="replace"),
            summary=taken.text,
            sections=(),
            texts=(taken.text,),
            turns=None,
            labels=None,
            source=("", ""),
            images={} if image is None else {image.suffix: image.data},
            positions=() if image is None else ("unknown",),
            sizes=() if image is None else ((image.width, image.height),),
        )

    def _films(self, label: str, content: Content, *, wants_look: bool) -> list[Film]:
        films: list[Film] = []
        for (suffix, data), size in zip(content.images.items(), content.sizes, strict=False):
            look = wants_look and self.how.decode and not films
            try:
                film = examine(data, suffix, most_pixels=self.how.most_pixels, decode=self.how.decode, look=look)
            except FilmError as error:
                self._add(error.check, str(error), label)
                continue
            films.append(film)
            if (film.width, film.height) != size:
                told = f"{suffix}: {film.width} x {film.height} pixels, and its record says {size[0]} x {size[1]}"
                self._add("images", told, label)
            if film.noted:
                ours: Severity = "warning" if self.how.members else "error"  # `cxr pack` writes none
                told = f"{suffix}: its file carries a comment, EXIF or other words, which may name someone"
                self._add("identifiers", told, label, ours)
            if film.behind:
                self._add("images", f"{suffix}: bytes stand behind the picture's end", label, "warning")
            if film.plain:
                self._add("decode", f"{suffix}: all its pixels are one gray", label, "warning")
        return films

    def _against(self, label: str, key: str, content: Content, row: Row, split: Split) -> None:
        """Hold a sample against its row."""
        if row["key"].decode(errors="replace") != key:
            self._add("rows", "the index has another key where this sample lies", label)
        if content.split != split:
            self._add("splits", f"its record says {content.split}, and the index {split}", label)
        if content.patient != row["patient"].decode(errors="replace"):
            self._add("rows", "its record and the index name different patients", label)
        found = {"characters": len(content.summary), "images": len(content.images)}
        for name, number in found.items():
            if int(row[name]) != number:
                self._add("rows", f"it has {number} {name}, and the index says {int(row[name])}", label)

    def _words(self, label: str, content: Content) -> None:
        answers = [turn["content"] for turn in content.turns or () if turn["role"] == "assistant"]
        told = [*check_summary(content.summary, content.sections, answers), *check_letters(content.texts)]
        if content.turns is not None:
            told += check_turns(content.turns, len(content.positions))
        for check, what, severity in told:
            self._add(check, what, label, severity)
        for kind in self.tally.add_texts(content.split, content.summary, content.texts):
            self._add("identifiers", f"a text holds a {kind}", label)
        if kinds_in_origin(*content.source):
            self._add("identifiers", "its source or licence may name someone", label)

    def _count(self, content: Content, films: list[Film]) -> None:
        tally = self.tally
        tally.samples[content.split] += 1
        if content.turns is not None:
            tally.turns[len(content.turns)] += 1
        tally.views[" + ".join(content.positions) or "no image"] += 1
        tally.sizes.update((film.width, film.height) for film in films)
        tally.labelled[content.labels is not None] += 1
        # What is shown comes from a list, or is not what may name someone: a table has all kinds of columns.
        tally.labels.update(each if each in _LABELS else _OTHER for each in content.labels or ())
        tally.sources[(_NAMED, "") if kinds_in_origin(*content.source) else content.source] += 1

    def _keep(self, label: str, content: Content, films: list[Film], row: Row | None) -> None:
        known, place = self.known, len(self.known.keys)
        look: Look = films[0].look if films else NOTHING
        if row is not None and look == NOTHING:
            look = tuple(row["look"].tolist())
        known.keys.append(label)
        known.patients.append(
            content.patient if is_hash(content.patient) else hashed(_utf8(content.patient), "patient")
        )
        known.splits.append(SPLITS.index(content.split))
        known.looks.append(look)
        known.digests += [(place, film.digest) for film in films if film.digest and not film.plain]


def _utf8(name: str) -> str:
    return name.encode(errors="replace").decode()
