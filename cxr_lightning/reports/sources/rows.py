"""Rows of a JSONL or CSV file with their line numbers: what enters is a path, what leaves are dictionaries or flaws.

The two formats differ in how a line can be wrong and in nothing else, so everything after this file sees rows only.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.reports.sources.found import Flaw, SourceError

SUFFIXES = (".jsonl", ".csv")
USUAL_NAMES = ("studies.jsonl", "manifest.jsonl", "studies.csv", "manifest.csv")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        line: The line it starts on, counted from 1.
        cells: Column name to value: text, number, list, or None.
    """

    line: int
    cells: dict[str, object]


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


def rows(path: Path) -> Iterator[Row | Flaw]:
    """Read a table row by row.

    Args:
        path: A file that ends in .jsonl or .csv.

    Yields:
        A row, or a flaw for a line that is no row.

    Raises:
        SourceError: The file as a whole is not a table.
    """
    yield from _csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path)


def _jsonl_rows(path: Path) -> Iterator[Row | Flaw]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                cells = json.loads(raw.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                # The decoder's own message can quote the line, and a line holds a report: its type must do.
                yield Flaw(f"{path.name}:{line}", "row unreadable", f"not JSON in UTF-8 ({type(error).__name__})")
                continue
            if isinstance(cells, dict):
                yield Row(line, cells)
            else:
                yield Flaw(f"{path.name}:{line}", "row unreadable", f"a JSON {type(cells).__name__}, not an object")


def _csv_rows(path: Path) -> Iterator[Row | Flaw]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if not header:
                raise SourceError(f"{path}: empty; its first line must name the columns")
            start = reader.line_num + 1
            for values in reader:
                line, start = start, reader.line_num + 1
                if not values:
                    continue
                if len(values) == len(header):
                    yield Row(line, dict(zip(header, values, strict=True)))
                else:
                    reason = f"{len(values)} cells where the header names {len(header)}"
                    yield Flaw(f"{path.name}:{line}", "row unreadable", reason)
    except csv.Error as error:
        raise SourceError(f"{path}:{reader.line_num}: not CSV ({error}); are quotes in the text doubled?") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 and try again") from None
