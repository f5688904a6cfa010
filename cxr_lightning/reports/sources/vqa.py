"""Source `vqa-jsonl`: clinicians' questions and answers about images enter, one object a line, studies leave.

A line has an image and either a list of pairs ("qa") or one pair; lines that share an image make one study.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError
from cxr_lightning.reports.sources.inside import MISSING, readable
from cxr_lightning.reports.sources.joined import grouped
from cxr_lightning.reports.sources.position import position_of
from cxr_lightning.reports.sources.rows import Row, Table
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.reports.sources.uses import use_named
from cxr_lightning.study import Report, Study, View

USUAL = ("vqa_rad_cxr.jsonl", "vqa.jsonl")


def read_vqa(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read questions and answers.

    Args:
        root: The file, or the folder that holds it; image paths are relative to that folder.
        reading: Whether images are wanted.

    Yields:
        Studies in the order of their first lines, and flaws.

    Raises:
        SourceError: There is no such file.
    """
    path = file_of(root)
    seen: set[str] = set()
    for item in grouped(Table(path), _image):
        if isinstance(item, Flaw):
            yield item
            continue
        where, rows = item
        try:
            study = _study(rows, path.parent, images=reading.images)
            if study.study_id in seen:
                raise StudyError("study again", "another image has the same id")
        except StudyError as error:
            yield error.flaw(where)
            continue
        seen.add(study.study_id)
        yield Found(study, where)


def file_of(root: Path) -> Path:
    """Find the file.

    Args:
        root: What the user gave.

    Raises:
        SourceError: There is none, or there are several and none has a usual name.
    """
    if root.is_file() and root.suffix.lower() == ".jsonl":
        return root
    found = sorted(root.glob("*.jsonl")) if root.is_dir() else []
    usual = [path for path in found if path.name in USUAL]
    if usual or len(found) == 1:
        return (usual or found)[0]
    raise SourceError(f"{root}: give a .jsonl file of questions and answers, or a folder with one ({', '.join(USUAL)})")


def _image(row: Row) -> str:
    return row.text("image") or _missing("image")


def _study(rows: list[Row], folder: Path, *, images: bool) -> Study:
    first, image = rows[0], _image(rows[0])
    name = first.text("id") or image
    path = readable(folder, image) if images else None
    if images and path is None:
        raise StudyError(MISSING, "its image is not there")
    return Study(
        study_id=name,
        patient_id=first.text("patient_id") or first.text("group") or name,
        views=(View(path, position_of(first.text("view"))),) if path else (),
        report=Report(),
        source="vqa-jsonl",
        licence=first.text("license") or first.text("licence"),
        split=use_named(row.text("split") for row in rows),
        turns=tuple(pair for row in rows for pair in _pairs(row)),
    )


def _pairs(row: Row) -> Iterator[tuple[str, str]]:
    listed = row.cells.get("qa", [row.cells])
    for pair in listed if isinstance(listed, list) else [None]:
        if not isinstance(pair, dict):
            raise StudyError("row incomplete", "'qa' is no list of objects with question and answer")
        texts = [" ".join(str(pair.get(key) if pair.get(key) is not None else "").split()) for key in _PAIR]
        if not all(texts):
            _missing("question or answer")
        yield texts[0], texts[1]


_PAIR = ("question", "answer")


def _missing(what: str) -> str:
    raise StudyError("row incomplete", f"it has no {what}")
