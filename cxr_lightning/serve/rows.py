"""Rows of answers, JSONL or CSV: what is written is read again, and what is none of ours is told from half a row."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COLUMNS = (
    "id", "images", "question", "answer", "tokens", "finish", "seconds", "error", "films", "image_size",
    "max_new_tokens", "model",
)  # fmt: skip
"""In this order; the model comes last, for it is never empty: a CSV row that ends before it was cut off."""

Row = dict[str, Any]
_NEEDED = {"id", "question", "films", "image_size", "max_new_tokens", "model"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute, not show; an apostrophe in front makes it text, and is taken away when read."""
_LONGEST_CELL = 2**27
_HALF = re.compile(rb'(\{("i?d?)?$)|\{"id":|$')


class BookError(ValueError):
    """A file of answers cannot be gone on with, or is none."""


def is_csv(out: Path) -> bool:
    """Tells whether a file of answers is CSV.

    Args:
        out: Its name.
    """
    return out.suffix.lower() == ".csv"


def read_book(out: Path) -> Iterator[Row | None]:
    """Yields a file's rows; None for half a row, of which the writer died.

    Args:
        out: The file.

    Raises:
        BookError: It is no file of answers.
    """
    yield from _read_csv(out) if is_csv(out) else _read_jsonl(out)


def write_csv(book: Path, out: Path) -> None:
    """Writes a JSONL file of answers as CSV, whole or not at all.

    Args:
        book: The JSONL file.
        out: The CSV file.
    """
    aside = out.with_name(out.name + ".partial")
    with aside.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(csv_line(row) + "\n" for row in read_book(book) if row is not None)
    aside.replace(out)


def json_line(row: Row) -> str:
    """Returns a row as JSON; half a character, as file names of old systems have, is escaped.

    Args:
        row: The row.
    """
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(row)
    return line


def plain(text: str) -> str:
    """Returns text as any file can hold it: half characters are written out.

    Args:
        text: The text.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def csv_line(row: Row) -> str:
    """Returns a row as CSV, without a line's end.

    Args:
        row: The row.
    """
    images = row.get("images") or []
    cells = {**row, "images": images if isinstance(images, str) else ";".join(images)}
    told = ["" if cells.get(n) is None else cells[n] for n in COLUMNS]
    told = [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in told]
    told = [plain(cell) if isinstance(cell, str) else cell for cell in told]
    buffer = io.StringIO()
    # The writer quotes cells with what ends its lines in them: so it is told all that ends a line.
    csv.writer(buffer, lineterminator="\r\n").writerow(told)
    return buffer.getvalue().removesuffix("\r\n")


def _read_jsonl(out: Path) -> Iterator[Row | None]:
    halves = 0
    with out.open("rb") as lines:
        for line in lines:
            line = line.rstrip(b"\0")  # what a power cut leaves of a line
            try:
                row = json.loads(line)
            except ValueError:
                row, halves = None, halves + 1
            if (
                halves > 1
                or (row is None and not _HALF.match(line))
                or (row is not None and not (isinstance(row, dict) and set(row) >= _NEEDED))
            ):
                raise _not_ours(out)
            yield row


def _read_csv(out: Path) -> Iterator[Row | None]:
    with out.open(encoding="utf-8", errors="replace", newline="") as file:
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        reader = csv.reader(file)
        if tuple(next(reader, ())) != COLUMNS:
            raise _not_ours(out)
        half, before = not _ends(out), None
        for cells in reader:
            if before is not None:
                yield _row_of(before)
            before = cells
        if before is not None:
            yield None if half else _row_of(before)


def _row_of(cells: list[str]) -> Row | None:
    if len(cells) != len(COLUMNS) or not cells[-1].strip("\0"):
        return None
    told = (cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell for cell in cells)
    return dict(zip(COLUMNS, told, strict=True))


def _ends(file: Path) -> bool:
    """Tells whether a file's last line is whole."""
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) == b"\n"


def _not_ours(out: Path) -> BookError:
    return BookError(f"{out} is no file of answers, and stays as it is. Remedy: name another --out.")
