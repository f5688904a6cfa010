"""Source `llava-json`: instruction data as LLaVA, Qwen-VL and their kin write it enters, studies leave.

Records that share their images are one study, whose turns are theirs one after the other. Where a path tells the
patient, as those of MIMIC-CXR, CheXpert and Open-i do, the patient is known, and no split parts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from cxr_lightning.reports.sources.dialogues import MARK, Dialogue, dialogue_of
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError
from cxr_lightning.reports.sources.inside import MISSING, readable
from cxr_lightning.reports.sources.joined import grouped
from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.reports.sources.records import Records
from cxr_lightning.reports.sources.rows import Row
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.reports.sources.uses import use_named
from cxr_lightning.study import Report, Study, View

_UNKNOWN = (
    "patient unknown",
    "its images count as a patient of their own, so that splits may part one patient's films; give each record a "
    "patient_id, or a split",
)
HOMES = (".", "images", "image")
_PATIENTS = (  # in a tree, or in the names of files that lay in one
    re.compile(r"(?:^|[/_-])p(1[0-9]{7})[/_-]"),  # MIMIC-CXR: p10/p10000032/s50414267/..., p10000032_s50414267_...
    re.compile(
        r"(?:^|[/_-])(patient[0-9]{5})[/_-]"
    ),  # CheXpert: train/patient42142/study5/..., patient42142_study5_...
)
_OPENI = re.compile(r"(?:^|/)(?:CXR)?([0-9]{1,4})_(?:IM-|[0-9]{1,2}(?:_IM-|\.))")  # CXR1_1_IM-0001.png, 1_2.png


def read_llava(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read instruction data.

    Args:
        root: The .json or .jsonl file, or the folder with it; image paths are relative to that folder.
        reading: Whether images are wanted, and whether records may lack them.

    Yields:
        Studies in the order of their first records, and flaws.

    Raises:
        SourceError: There is no such file, or it is not JSON.
    """
    path = file_of(root)
    seen: set[str] = set()
    for item in grouped(Records(path), partial(_name, reading), mark="#"):
        if isinstance(item, Flaw):
            yield item
            continue
        where, rows = item
        try:
            study = _study(rows, path.parent, images=reading.images)
        except StudyError as error:
            yield error.flaw(where)
            continue
        if study.study_id in seen:  # ids of text-only records repeat
            study = _renamed(study, rows[0].line)
        seen.add(study.study_id)
        if study.patient_id == study.study_id and study.split is None and dialogue_of(rows[0]).images:
            yield Flaw(where, *_UNKNOWN, bad=False)
        yield Found(study, where)


def file_of(root: Path) -> Path:
    """Find the file.

    Args:
        root: What the user gave.

    Raises:
        SourceError: There is none, or there are several.
    """
    if root.is_file():
        return root
    found = sorted(path for end in ("*.json", "*.jsonl") for path in root.glob(end)) if root.is_dir() else []
    if len(found) != 1:
        raise SourceError(f"{root}: holds {len(found)} files that end in .json or .jsonl; name the one to read")
    return found[0]


def _name(reading: Reading, row: Row) -> str:
    dialogue = dialogue_of(row)
    if dialogue.images:
        return "\n".join(dialogue.images)
    if any(MARK in question for question, _ in dialogue.pairs):
        raise StudyError("image unnamed", f"it marks an image with {MARK} and names none")
    if reading.images and not reading.text_only:
        raise StudyError("record without image", "it names no image; --text_only allow keeps such records", bad=False)
    return f"\n{row.line}"


def _study(rows: list[Row], folder: Path, *, images: bool) -> Study:
    dialogues = [dialogue_of(row) for row in rows]
    named, first = dialogues[0].images, rows[0]
    name = ";".join(named) or first.text("id") or f"#{first.line}"
    return Study(
        study_id=name,
        patient_id=_patient(first, named) or name,
        views=hung(_view(folder, image, first) for image in named) if images else (),
        report=Report(),
        source="llava-json",
        licence=first.text("license") or first.text("licence"),
        split=use_named(row.text("split") for row in rows),
        turns=tuple(_shown_once(dialogues)),
    )


def _shown_once(dialogues: list[Dialogue]) -> Iterator[tuple[str, str]]:
    """Marks images in the first record alone: joined to one conversation, the others ask of what has been shown.

    A single image needs no mark at all; it opens its conversation.
    """
    for number, dialogue in enumerate(dialogues):
        keep = number == 0 and len(dialogue.images) > 1
        if sum(question.count(MARK) for question, _ in dialogue.pairs) > len(dialogue.images):
            raise StudyError("more marks than images", f"it marks more images with {MARK} than it names")
        for question, answer in dialogue.pairs:
            pair = question if keep else _unmarked(question), _unmarked(answer)
            if not all(pair):
                raise StudyError("turns unpaired", "a question or an answer is a mark and nothing else")
            yield pair


def _unmarked(text: str) -> str:
    # A mark within a sentence leaves the space that stood around it, one at an end leaves nothing.
    return " ".join(part for piece in text.split(MARK) if (part := piece.strip()))


def _view(folder: Path, image: str, row: Row) -> View:
    path = next((path for home in HOMES if (path := readable(_base(folder, home), image)) is not None), None)
    if path is None:
        raise StudyError(MISSING, "an image that it names is not there")
    return View(path, position_of(row.text("view")))


def _base(folder: Path, home: str) -> Path:
    return folder if home == "." else folder / home


def _patient(row: Row, images: tuple[str, ...]) -> str:
    own = row.text("patient_id") or row.text("subject_id")
    if own or not images:
        return own
    path = images[0].replace("\\", "/")
    if numbered := _OPENI.search(path):
        return f"CXR{int(numbered[1])}"  # as the source `openi` calls it, so that their splits agree
    return next((named[1] for pattern in _PATIENTS if (named := pattern.search(path))), "")


def _renamed(study: Study, line: int) -> Study:
    name = f"{study.study_id}#{line}"
    patient = name if study.patient_id == study.study_id else study.patient_id
    return replace(study, study_id=name, patient_id=patient)
