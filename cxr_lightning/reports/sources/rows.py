"""Rows of a JSONL or CSV file with their line numbers: what enters is a path, what leaves are dictionaries or flaws.

The two formats differ in how a line can be wrong and in nothing else, so everything after this file sees rows only. A
row knows the byte it starts at, so that it can be read again instead of being held.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cxr_lightning.reports.sources.found import Flaw, SourceError
from cxr_lightning.reports.sources.lines import Line, lines, lines_of

SUFFIXES = (".jsonl", ".csv")
USUAL_NAMES = ("studies.jsonl", "manifest.jsonl", "studies.csv", "manifest.csv")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        line: The line it starts on, counted from 1.
        cells: Column name to value: text, number, list, or None.
        start: The byte it starts at.
    """

    line: int
    cells: dict[str, object]
    start: int = 0

    def text(self, column: str) -> str:
        """Take a cell's text.

        Args:
            column: Its column; one that is not there is empty, and so is what is neither text nor number.
        """
        value = self.cells.get(column)
        return str(value).strip() if isinstance(value, str | int) else ""


def table_file(root: Path) -> Path:
    """Find the table that ROOT means.

    Args:
        root: The table itself, or a folder with studies.jsonl, manifest.jsonl, their .csv sisters, or one table alone.

    Raises:
        SourceError: There is none, or there are several and none has a usual name.
    """
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise SourceError(
                f"{root}: a table ends in .jsonl or .csv; give one of these, or the folder that holds one"
            )
        return root
    if not root.is_dir():
        raise SourceError(f"{root}: no such file or folder; give a table of studies or the folder that holds one")
    for name in USUAL_NAMES:
        if (root / name).is_file():
            return root / name
    tables = sorted(path for path in root.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)
    if len(tables) == 1:
        return tables[0]
    found = f"{len(tables)} tables ({', '.join(path.name for path in tables[:8])})" if tables else "no .jsonl or .csv"
    raise SourceError(f"{root}: holds {found}; name the table itself, or call it {USUAL_NAMES[0]}")


class Table:
    """A table that can be read through, and again row by row.

    Args:
        path: A file that ends in .jsonl or .csv.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._csv = path.suffix.lower() == ".csv"
        self._header: list[str] = []
        self._delimiter = ","

    def each(self) -> Iterator[Row | Flaw]:
        """Read row by row.

        Yields:
            A row, or a flaw for a line that is no row.

        Raises:
            SourceError: The file as a whole is not a table.
        """
        if self._csv:
            self._delimiter = _delimiter(self.path)
        yield from csv_rows(self.path, delimiter=self._delimiter) if self._csv else _jsonl_rows(self.path)

    def at(self, file: IO[bytes], line: int, start: int) -> Row | Flaw:
        """Read a row again.

        Args:
            file: The table, open for reading.
            line: The line it starts on.
            start: The byte it starts at.

        Raises:
            SourceError: The file has changed since.
        """
        if not self._csv:
            again = next(lines_of(file, self.path, line, start), None)
            return json_row(again, self.path) if again else Flaw(f"{self.path.name}:{line}", "row unreadable", "gone")
        if not self._header:
            first = next(csv.reader(Feed(lines_of(file, self.path)), delimiter=self._delimiter), None)
            self._header = header_of(first, self.path)
        try:
            feed = Feed(lines_of(file, self.path, line, start))
            values = next(csv.reader(feed, delimiter=self._delimiter, strict=True))
        except (csv.Error, StopIteration):
            raise SourceError(f"{self.path}:{line}: has changed while it was read") from None
        return row_of(values, self._header, self.path, line, start)


def _delimiter(path: Path) -> str:
    """Tell what parts a table's cells: a comma, or where its header has none, a semicolon or a tab, as Excel writes."""
    first = next(lines(path), None)
    try:
        header = next(csv.reader([first.text]), []) if first else []
    except csv.Error:  # told by whoever reads the rows
        return ","
    if len(header) != 1:
        return ","
    return next((mark for mark in (";", "\t") if mark in header[0]), ",")


def csv_rows(path: Path, *needed: str, delimiter: str = ",") -> Iterator[Row | Flaw]:
    """Read a CSV file row by row.

    Args:
        path: A CSV file, plain or gzip, whose first line names the columns.
        needed: Columns that must be there.
        delimiter: What parts cells.

    Yields:
        A row, or a flaw for one that does not fit the header.

    Raises:
        SourceError: It is not such a file, or lacks a column.
    """
    feed = Feed(lines(path))
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    try:
        header = header_of(next(reader, None), path, needed)
        line, start = feed.line, feed.start
        for values in reader:
            if values:
                yield row_of(values, header, path, line, start)
            line, start = feed.line, feed.start
    except csv.Error as error:
        raise SourceError(f"{path}:{feed.line - 1}: not CSV ({error}); are quotes in the text doubled?") from None


class Feed:
    """Gives a CSV reader its lines and knows where the next one starts.

    Args:
        source: The lines.

    Attributes:
        line: Number of the next line.
        start: The byte it starts at.
    """

    def __init__(self, source: Iterator[Line]) -> None:
        self._source = source
        self.line, self.start = 1, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._source)
        self.line, self.start = line.number + 1, line.start + line.size
        return line.text


def header_of(values: list[str] | None, path: Path, needed: tuple[str, ...] = ()) -> list[str]:
    """Check a CSV file's first row.

    Args:
        values: Its cells; None where there is no row.
        path: The file, for people.
        needed: Columns that must be there.

    Raises:
        SourceError: There is none, or it lacks a column.
    """
    if not values:
        raise SourceError(f"{path}: empty; its first line must name the columns")
    missing = [name for name in needed if name not in values]
    if missing:
        raise SourceError(f"{path}: has no column {', '.join(missing)}; is this the published file, unchanged?")
    return values


def row_of(values: list[str], header: list[str], path: Path, line: int, start: int) -> Row | Flaw:
    """Name a CSV row's cells.

    Args:
        values: The cells.
        header: The columns.
        path: The file, for people.
        line: The line it starts on.
        start: The byte it starts at.
    """
    where = f"{path.name}:{line}"
    if len(values) != len(header):
        return Flaw(where, "row unreadable", f"{len(values)} cells where the header names {len(header)}")
    if any("\0" in value for value in values):
        return Flaw(where, "row unreadable", "holds NUL bytes, which no text does")
    return Row(line, dict(zip(header, values, strict=True)), start)


def _jsonl_rows(path: Path) -> Iterator[Row | Flaw]:
    for line in lines(path):
        if line.text.strip():
            yield json_row(line, path)


def json_row(line: Line, path: Path) -> Row | Flaw:
    """Read one line of JSONL.

    Args:
        line: The line.
        path: The file, for people.
    """
    where = f"{path.name}:{line.number}"
    try:
        cells = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        # The decoder's own message can quote the line, and a line holds a report: its type must do.
        return Flaw(where, "row unreadable", f"not JSON in UTF-8 ({type(error).__name__})")
    if halved(line.text, cells):
        return Flaw(where, "row unreadable", "escapes half a character (\\ud8.. without its other half)")
    if isinstance(cells, dict):
        return Row(line.number, cells, line.start)
    return Flaw(where, "row unreadable", f"a JSON {type(cells).__name__}, not an object")


def halved(text: str, value: object) -> bool:
    """Say whether a JSON value holds halves of characters, which no file can store.

    Args:
        text: The JSON text.
        value: What it says.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
