"""Source `table`: a JSONL or CSV file with one row a study, or one row an image, becomes studies.

Rows that share a study id are joined, wherever they stand in the file: their images become views of one study, and
their question-answer pairs its turns. The table is read twice, and only the places of its rows are held.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cxr_lightning.reports.sources.apart import report_of
from cxr_lightning.reports.sources.columns import Columns
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError
from cxr_lightning.reports.sources.joined import joined
from cxr_lightning.reports.sources.places import Place, Places
from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.reports.sources.rows import Row, Table, table_file
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.reports.sources.uses import SPLIT_WORDS
from cxr_lightning.study import Report, Split, Study, View

NO_LABEL = frozenset({"normal", "none", "no finding"})
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_EMPTY = frozenset({"nan", "<na>", "nat"})
"""What pandas' `astype(str)` makes of an empty cell."""


class RowError(StudyError):
    """One study's rows cannot be used; the message says why, without report text.

    Args:
        reason: What is wrong with them.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("row incomplete", reason)


def read_table(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read the studies of a table.

    Args:
        root: The table, or a folder that holds it; image paths are relative to that folder.
        reading: What the table's columns are called, and whether studies may lack an image: their cell is empty, or
            the table has no such column.

    Yields:
        Studies in the order of their first rows, and flaws for rows that make no study.

    Raises:
        SourceError: There is no table, or it lacks a column.
    """
    table, columns = Table(table_file(root)), reading.columns
    text_only = reading.text_only or not reading.images
    places, present = Places(), set[str]()
    for row in table.each():
        if isinstance(row, Flaw):
            yield row
            continue
        present |= row.cells.keys()
        try:
            places.add(_name(row, columns.study_id), Place(row.line, row.start))
        except RowError as error:
            if columns.study_id in present:
                yield error.flaw(f"{table.path.name}:{row.line}")
    _check_columns(table.path, columns, present, text_only)
    for where, study_rows in joined(table, places):
        try:
            study = _study(study_rows, columns, table.path.parent, text_only)
            yield Found(study if reading.images else replace(study, views=()), where)
        except RowError as error:
            yield error.flaw(where)


def _check_columns(path: Path, columns: Columns, present: set[str], text_only: bool) -> None:
    if not present:
        raise SourceError(f"{path}: no rows; expected one study (or one image) a line")
    missing = columns.missing_from(present, text_only)
    if missing:
        wanted = ", ".join(f"'{getattr(columns, name)}' (--columns.{name})" for name in missing)
        raise SourceError(
            f"{path}: has no column {wanted}. Its columns are: {', '.join(sorted(present))}. "
            f"Say what the table calls it: --columns.{missing[0]} NAME"
            + ("; or, where studies are text alone: --text_only allow" if missing[0] == "image" else "")
        )


def _study(study_rows: list[Row], columns: Columns, folder: Path, text_only: bool) -> Study:
    first = study_rows[0]
    patients = {_name(row, columns.patient_id) for row in study_rows}
    if len(patients) > 1:
        raise RowError(f"{len(patients)} patients for one study; a study belongs to one patient")
    return Study(
        study_id=_name(first, columns.study_id),
        patient_id=patients.pop(),
        views=_views(study_rows, columns, folder, text_only),
        report=_report(study_rows, columns),
        source=_text(first, "source") or "table",
        licence=_text(first, columns.licence),
        split=_split(study_rows, columns),
        labels=_labels(study_rows, columns),
        turns=tuple(turn for row in study_rows for turn in _turns(row, columns)),
    )


def _views(study_rows: list[Row], columns: Columns, folder: Path, text_only: bool) -> tuple[View, ...]:
    views: dict[Path, View] = {}
    for row in study_rows:
        image = _text(row, columns.image, needed=not text_only)
        if image:
            path = _path(folder, image)
            views.setdefault(path, View(path, position_of(_text(row, columns.view))))
        lateral = _text(row, columns.lateral)
        if lateral:
            path = _path(folder, lateral)
            views.setdefault(path, View(path, "lateral"))
    return hung(views.values())


def _path(folder: Path, name: str) -> Path:
    """Returns an image's path; backslashes are Windows' own, unless a file is called so."""
    return folder / (name.replace("\\", "/") if "\\" in name and not os.path.lexists(folder / name) else name)


def _report(study_rows: list[Row], columns: Columns) -> Report:
    names = ("findings", "impression", "indication", "technique", "comparison")
    own = {name: _agreed(study_rows, getattr(columns, name)) for name in names}
    return report_of(_agreed(study_rows, columns.report), **own)


def _agreed(study_rows: Iterable[Row], column: str) -> str:
    values = {value: None for row in study_rows if (value := _text(row, column))}
    if len(values) > 1:
        raise RowError(f"its rows have {len(values)} different texts in column '{column}'; a study has one report")
    return next(iter(values), "")


def _split(study_rows: Iterable[Row], columns: Columns) -> Split | None:
    words = {_text(row, columns.split).lower() for row in study_rows} - {""}
    unknown = words - SPLIT_WORDS.keys()
    if unknown:
        word = min(unknown)
        # A shifted row puts a name or a report here: only what looks like a mistyped split may be shown.
        told = f"'{word}'" if len(word) <= 12 and word.isascii() and word.isalpha() else f"{len(word)} characters"
        raise RowError(f"column '{columns.split}' says {told}; it must be train, validate or test")
    uses = {SPLIT_WORDS[word] for word in words}
    if len(uses) > 1:
        raise RowError(f"its rows prescribe {len(uses)} splits; a study has one")
    return uses.pop() if uses else None


def _labels(study_rows: Iterable[Row], columns: Columns) -> tuple[str, ...] | None:
    known: dict[str, None] | None = None
    for row in study_rows:
        value = row.cells.get(columns.labels)
        listed = value if isinstance(value, list) else [part for part in _text(row, columns.labels).split(";") if part]
        if not listed and not isinstance(value, list):
            continue
        known = known or {}
        known |= {str(label).strip(): None for label in listed}
    return None if known is None else tuple(label for label in known if label.lower() not in NO_LABEL)


def _turns(row: Row, columns: Columns) -> Iterator[tuple[str, str]]:
    question, answer = _text(row, columns.question), _text(row, columns.answer)
    if bool(question) != bool(answer):
        raise RowError(f"only one of '{columns.question}' and '{columns.answer}' is filled; give both or neither")
    if question:
        yield question, answer
    listed = row.cells.get(columns.turns) or []
    if not isinstance(listed, list):
        raise RowError(f"column '{columns.turns}' holds a {type(listed).__name__}; it must be a list of objects")
    for turn in listed:
        pair = [str(turn.get(name) or "").strip() if isinstance(turn, dict) else "" for name in ("question", "answer")]
        if not all(pair):
            raise RowError(f"a turn in column '{columns.turns}' lacks its question or its answer")
        yield pair[0], pair[1]


def _name(row: Row, column: str) -> str:
    """Returns a study's or patient's name; 123.0 is 123, which pandas makes of numbers once a cell of them is empty."""
    value = row.cells.get(column)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    name = _text(row, column, needed=True)
    whole = _WHOLE.fullmatch(name)
    return whole[1] if whole else name


def _text(row: Row, column: str, *, needed: bool = False) -> str:
    value = row.cells.get(column)
    if isinstance(value, float) and math.isnan(value):  # how pandas writes an empty cell into JSON
        value = None
    if isinstance(value, dict | bool) or (isinstance(value, list) and value):
        raise RowError(f"column '{column}' holds a {type(value).__name__}; it must be text")
    text = "" if value is None or isinstance(value, list) else str(value).strip()
    if text.lower() in _EMPTY:
        text = ""
    if needed and not text:
        raise RowError(f"column '{column}' is empty")
    return text
