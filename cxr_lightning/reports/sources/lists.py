"""The lists of MIMIC-CXR enter (CSV, plain or gzip), rows by column name leave, and per study its use and its labels.

Columns are found by name, whatever their order. What must be known of every study at once is held as one small number
or a few bytes a study.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cxr_lightning.reports.sources.found import Flaw, SourceError, StudyError
from cxr_lightning.reports.sources.observed import Observed
from cxr_lightning.reports.sources.rows import csv_rows
from cxr_lightning.reports.sources.uses import SPLIT_WORDS
from cxr_lightning.study import SPLITS, Split


class Listed(NamedTuple):
    """One row of a list.

    Attributes:
        line: The line it starts on, counted from 1.
        patient: The patient's number.
        study: The study's number.
        cells: Column name to text.
    """

    line: int
    patient: str
    study: str
    cells: dict[str, str]


def listed(path: Path, *needed: str) -> Iterator[Listed | Flaw]:
    """Read a list row by row.

    Args:
        path: A CSV file, plain or gzip, with the columns subject_id and study_id.
        needed: Further columns that must be there.

    Yields:
        A row, or a flaw for one without numbers.

    Raises:
        SourceError: It is not such a file, or lacks a column.
    """
    for row in csv_rows(path, "subject_id", "study_id", *needed):
        if isinstance(row, Flaw):
            yield row
            continue
        cells = {name: str(value).strip() for name, value in row.cells.items()}
        patient, study = cells["subject_id"], cells["study_id"]
        if _NUMBER.fullmatch(patient) and _NUMBER.fullmatch(study):
            yield Listed(row.line, patient, study, cells)
        else:
            yield Flaw(f"{path.name}:{row.line}", "row incomplete", "subject_id or study_id is no number")


def _whole(path: Path, *needed: str) -> Iterator[Listed]:
    """Read a list that no row may be missing of."""
    for row in listed(path, *needed):
        if isinstance(row, Flaw):
            raise SourceError(f"{path.parent / row.where}: {row.reason}; download the file again")
        yield row


class Uses:
    """The use that the source prescribes for each study, one small number a study.

    Args:
        path: mimic-cxr-2.0.0-split.csv, plain or gzip.

    Raises:
        SourceError: A use is none that is known.
    """

    def __init__(self, path: Path) -> None:
        self._studies: dict[int, int] = {}
        self._patients: dict[int, int] = {}
        for row in _whole(path, "split"):
            use = SPLIT_WORDS.get(row.cells["split"].lower())
            if use is None:
                raise SourceError(f"{path}:{row.line}: a split that is not train, validate or test")
            for known, number in ((self._studies, int(row.study)), (self._patients, int(row.patient))):
                place = SPLITS.index(use)
                known[number] = place if known.get(number, place) == place else _SEVERAL

    def of(self, study: str) -> Split:
        """Say a study's use.

        Args:
            study: Its number.

        Raises:
            StudyError: The list does not have it, or has it in several.
        """
        place = self._studies.get(int(study))
        if place is None:
            raise StudyError("split missing", "the split list does not have this study")
        return _use(place)

    def of_report(self, study: str, patient: str) -> Split | None:
        """Say the use of a report, which may be of a study that no list has, for it has no images.

        Args:
            study: Its number.
            patient: The patient's, whose other studies' use is this one's too.

        Returns:
            The use, or None where the list does not have the patient either.

        Raises:
            StudyError: The list has it in several.
        """
        place = self._studies.get(int(study), self._patients.get(int(patient)))
        return None if place is None else _use(place)


def _use(place: int) -> Split:
    if place == _SEVERAL:
        raise StudyError("split unclear", "the split list gives this study several splits; a study has one")
    return SPLITS[place]


def dates(path: Path) -> dict[int, str]:
    """Read when each study was taken.

    Args:
        path: mimic-cxr-2.0.0-metadata.csv, plain or gzip.

    Returns:
        Study number to date and time, as `taken` writes them.

    Raises:
        SourceError: It is not such a list.
    """
    known: dict[int, str] = {}
    for row in listed(path):
        if isinstance(row, Listed):
            known.setdefault(int(row.study), taken(row.cells))
    return known


def taken(cells: dict[str, str]) -> str:
    """Write date and time so that they sort as text: the published times are numbers that lost their leading zeros.

    Args:
        cells: A row of the metadata.

    Returns:
        "21800506 080556.875", or less where the row says less.
    """
    date = cells.get("StudyDate", "").removesuffix(".0")
    whole, _, part = cells.get("StudyTime", "").partition(".")
    if not date.isdecimal() or (whole and not whole.isdecimal()):
        return ""
    return f"{date} {whole.zfill(6)}.{part or '0'}" if whole else date


def observed(path: Path) -> Observed:
    """Read CheXpert's labels.

    Args:
        path: mimic-cxr-2.0.0-chexpert.csv, plain or gzip.

    Returns:
        Labels by study number.

    Raises:
        SourceError: It is not such a list.
    """
    labels = Observed()
    for row in _whole(path):
        labels.note(int(row.study), row.cells)
    return labels


_NUMBER = re.compile(r"[0-9]{1,18}")
_SEVERAL = -1
