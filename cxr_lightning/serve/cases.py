"""What is to be described: files, folders, tables and shards enter, cases leave one by one, none of them opened yet.

Everything that is wrong with a table is said before a model is loaded. What is wrong with a film is found when it is
opened, and is that case's alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr_lightning.serve.films import open_film
from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import IMAGE_MARK
from cxr_lightning.shards.images import Gray, ImageError, load_gray
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.splitindex import SplitIndex
from cxr_lightning.study import Split

_IMAGES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
_INDEX = "index.json"
_TABLES = (".jsonl", ".ndjson")
_NO_INPUTS = (".csv", ".json", ".tsv", ".xlsx", ".zip", ".tar", ".gz", ".txt")


class InputError(ValueError):
    """What is to be described cannot be read, or there is nothing."""


@dataclass(frozen=True, slots=True)
class Films:
    """A case's films, opened.

    Attributes:
        grays: The films, the frontal one first.
        names: What they are called where they come from.
    """

    grays: tuple[Gray, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one or two films.

    Attributes:
        id: Names it; no other case has the same.
        question: What is asked.
        open: Opens its films; raises ImageError or ShardError where they cannot be shown.
        stamp: Twelve digits that are others where the films are: of their paths, sizes and times, or a sample's bytes.
    """

    id: str
    question: str
    open: Callable[[], Films]
    stamp: str = ""


@dataclass(frozen=True)
class Wishes:
    """How inputs are read.

    Attributes:
        question: What is asked where a table does not say.
        root: What a table's paths are relative to; None for the table's folder.
        split: Which split of shards.
        any_body_part: Take DICOM files that say they show something else than a chest.
        lateral: Show the film that a table's row has under `lateral`, beside its image.
    """

    question: str
    root: Path | None
    split: Split
    any_body_part: bool
    lateral: bool = False


def cases(inputs: Sequence[str], wishes: Wishes) -> Iterator[Case]:
    """Yields what is to be described, in a fixed order; nothing twice.

    Args:
        inputs: Files, folders, JSONL tables, folders or URLs of shards.
        wishes: How they are read.

    Raises:
        InputError: One of them is nothing of the kind, or empty; or two rows have the same id.
        ShardError: Shards cannot be read.
    """
    seen: set[str] = set()
    for each in inputs:
        several = len(seen)
        for case, named in _cases_of(each, wishes):
            if case.id not in seen:
                seen.add(case.id)
                yield case
            elif named:
                raise InputError(f"{each}: two rows have the id {case.id}. Remedy: give each an id of its own.")
        if len(seen) == several == 0:
            raise InputError(f"{each}: nothing to describe.")


def _cases_of(given: str, wishes: Wishes) -> Iterator[tuple[Case, bool]]:
    """Yields cases, and whether a table named them: of those none may be left out."""
    path = Path(given)
    if storage.is_remote(given) or (path / _INDEX).is_file():
        yield from ((case, False) for case in _of_shards(given, wishes))
    elif path.is_dir():
        yield from ((_of_file(file, wishes), False) for file in _files(path))
    elif not path.exists():
        raise InputError(f"{given}: there is no such file or folder.")
    elif path.suffix.lower() in _TABLES:
        yield from _of_table(path, wishes)
    elif path.suffix.lower() in _NO_INPUTS:
        raise InputError(
            f"{given}: neither an image nor a table that is read here. Remedy: a table is a JSONL file, a line such as "
            '{"image": "a.png"}.'
        )
    else:
        yield _of_file(path, wishes), False


def _of_file(file: Path, wishes: Wishes) -> Case:
    def open_it() -> Films:
        return Films((open_film(file, any_body_part=wishes.any_body_part),), (str(file),))

    return Case(str(file), wishes.question, open_it, _stamp(file))


def _stamp(*files: Path) -> str:
    told = []
    for file in files:
        try:
            about = file.stat()
            told.append((os.fsencode(file.resolve()), about.st_size, about.st_mtime_ns))
        except (OSError, ValueError):  # no such file, or no name for one: opening says so
            told.append((os.fsencode(file), 0, 0))
    return _digest(told)


def _digest(told: object) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    """Lists a folder's images, deep; DICOM archives often name files by number, without a suffix."""
    found, others = [], Counter[str]()
    seen = set[Path]()
    for where, folders, names in os.walk(folder, followlinks=True):
        real = Path(where).resolve()
        if real in seen:  # a link to a folder above, or a second one to the same
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            file = Path(where, name)
            if name.startswith(".") or name == "DICOMDIR":
                continue
            if file.suffix.lower() in _IMAGES or _looks_like_image(file):
                found.append(file)
            else:
                others[file.suffix.lower() or "no suffix"] += 1
    if not found:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(4)) or "nothing at all"
        raise InputError(f"{folder} holds no PNG, JPEG or DICOM file ({kinds}). Remedy: name the folder of the images.")
    return found


def _looks_like_image(file: Path) -> bool:
    try:
        if not file.is_file():  # a pipe has no end
            return False
        with file.open("rb") as opened:
            head = opened.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def _of_table(table: Path, wishes: Wishes) -> Iterator[tuple[Case, bool]]:
    root, shown = wishes.root or table.parent, set[str]()
    with table.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if not raw.strip():
                continue
            line = _decoded(raw, f"{table}, line {number}")
            row = _row(line, f"{table}, line {number}")
            names = _names(row, f"{table}, line {number}", lateral=wishes.lateral)
            named = row.get("id") not in (None, "")
            # Several questions may be asked about one image: the line tells them apart.
            case_id = str(row["id"]) if named else f"{names[0]}#{number}" if names[0] in shown else names[0]
            shown.add(names[0])
            question = str(row.get("question") or wishes.question)
            stamp = _stamp(*(root / name for name in names))
            yield Case(case_id, question, _opener(root, names, wishes), stamp), True


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{where}: no UTF-8. Remedy: save the table as UTF-8, such as by iconv.") from None


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no JSON ({error}).") from None
    if not isinstance(row, dict):
        raise InputError(f'{where}: {type(row).__name__}, where a row is an object such as {{"image": "a.png"}}.')
    return row


def _names(row: dict[str, Any], where: str, *, lateral: bool) -> tuple[str, ...]:
    images = row.get("images", row.get("image"))
    names = [images] if isinstance(images, str) else images
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{where}: no path under 'image' (it has {', '.join(map(str, row)) or 'nothing'}).")
    other = row.get("lateral") if lateral else None
    return (*names, str(other)) if other else tuple(names)


def _opener(root: Path, names: tuple[str, ...], wishes: Wishes) -> Callable[[], Films]:
    def open_them() -> Films:
        return Films(tuple(open_film(root / name, any_body_part=wishes.any_body_part) for name in names), names)

    return open_them


def _of_shards(location: str, wishes: Wishes) -> Iterator[Case]:
    index = read_index(location)
    columns = index.split(wishes.split)
    chosen = np.flatnonzero(columns.images)
    if not len(chosen):
        there = ", ".join(f"{name}: {counts['samples']}" for name, counts in index.counts.items())
        raise InputError(f"{location}: no image in split {wishes.split} ({there}). Remedy: name another --split.")
    for number in chosen.tolist():
        stamp = _digest((columns.key(number), int(columns.crc32[number]), int(columns.size[number])))
        yield Case(columns.key(number), wishes.question, _sample_opener(columns, number), stamp)


def _sample_opener(columns: SplitIndex, number: int) -> Callable[[], Films]:
    def open_them() -> Films:
        sample = columns.read(number)
        turns = sample.record["conversation"]
        # As many films as its own question shows: what training saw.
        marks = next((turn["content"].count(IMAGE_MARK) for turn in turns if turn["role"] == "user"), 1)
        shown = dict(list(sample.images.items())[: max(marks, 1)])
        try:
            grays = tuple(load_gray(data) for data in shown.values())
        except ImageError as error:
            raise ImageError(f"{columns.label(number)}: {error}") from None
        return Films(grays, tuple(f"{sample.key}.{suffix}" for suffix in shown))

    return open_them
