"""The file of answers, JSONL or CSV: rows are added as they come, and what a kill leaves of it is gone on from.

Every row says which model was asked what, so that a file needs nothing beside it to be understood or continued.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cxr_lightning.serve.asking import Answered
from cxr_lightning.serve.cases import Case
from cxr_lightning.shards.durable import append, sync

COLUMNS = (
    "id", "images", "question", "answer", "tokens", "finish", "seconds", "error", "max_new_tokens", "model",
)  # fmt: skip
"""In this order; the model comes last, for it is never empty: a CSV row that ends before it was cut off."""

Row = dict[str, Any]
_HALF = re.compile(rb'(\{("i?d?)?$)|\{"id":')


class BookError(ValueError):
    """A file of answers cannot be gone on with, or is none."""


class Book:
    """A file of answers, open for more; nobody else may add to it meanwhile.

    Args:
        out: The file, `.jsonl` or `.csv`; what it holds stays, but for errors and half a row.
        model: Which model answers, as rows say it.
        max_new_tokens: Longest answer, as rows say it.
        overwrite: Begin anew.

    Raises:
        BookError: The file is of another model or other settings, is no file of answers, or is being written.
    """

    def __init__(self, out: Path, *, model: str, max_new_tokens: int, overwrite: bool = False) -> None:
        require_book(out)
        self.out, self._model, self._max_new_tokens = out, model, max_new_tokens
        self._csv = is_csv(out)
        self._lock = _locked(out)
        self._questions: dict[str, int] = {}
        try:
            if overwrite or not (out.is_file() and out.stat().st_size):
                self._begin()
            else:
                self._go_on()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Returns the book."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Lets others write."""
        self.close()

    def has(self, case: Case) -> bool:
        """Tells whether a case was answered before.

        Args:
            case: The case.

        Raises:
            BookError: It was, and to another question.
        """
        asked = self._questions.get(case.id)
        if asked is not None and asked != hash(case.question):
            raise BookError(
                f"{self.out} answers another question about {case.id}. "
                "Remedy: ask the same, or name another --out, or add --overwrite true."
            )
        return asked is not None

    def add(self, answered: Sequence[Answered]) -> None:
        """Adds rows, each whole or not at all.

        Args:
            answered: What became of cases.

        Raises:
            OSError: There is no room; the file is as it was.
        """
        append(self.out, [self._line(self._row(each)) for each in answered])

    def close(self) -> None:
        """Waits until all is on disk, and lets others write."""
        with contextlib.suppress(OSError):
            sync(self.out)
        _lock_file(self.out).unlink(missing_ok=True)  # before it is let go: else another's would be unlinked
        os.close(self._lock)

    def _begin(self) -> None:
        aside = self.out.with_name(self.out.name + ".partial")
        aside.write_text(self._header())
        aside.replace(self.out)

    def _go_on(self) -> None:
        """Takes up what is answered; errors are asked again, and half a row is."""
        aside, dropped = self.out.with_name(self.out.name + ".partial"), 0
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(self._header())
                for row in read_book(self.out):
                    if row is None or row.get("error"):
                        dropped += 1
                        continue
                    self._require_same(row)
                    self._questions[str(row["id"])] = hash(row["question"])
                    file.write(self._line(row) + "\n")
            if dropped:
                sync(aside)
                aside.replace(self.out)
        finally:
            aside.unlink(missing_ok=True)

    def _require_same(self, row: Row) -> None:
        for name, ours in (("model", self._model), ("max_new_tokens", self._max_new_tokens)):
            if str(row[name]) != str(ours):
                raise BookError(
                    f"{self.out} was begun with {name} {row[name]}, and this is {ours}. "
                    "Remedy: the same again, or another --out, or --overwrite true."
                )

    def _row(self, answered: Answered) -> Row:
        row: Row = {"id": answered.case.id, "images": list(answered.images), "question": answered.case.question}
        if answered.reply is None:
            row["error"] = answered.error
        else:
            reply = answered.reply
            row |= {"answer": reply.text, "tokens": reply.tokens, "finish": reply.finish, "seconds": answered.seconds}
        return {**row, "max_new_tokens": self._max_new_tokens, "model": self._model}

    def _header(self) -> str:
        return ",".join(COLUMNS) + "\n" if self._csv else ""

    def _line(self, row: Row) -> str:
        return csv_line(row) if self._csv else json.dumps(row, ensure_ascii=False)


def require_book(out: Path) -> None:
    """Looks at a wish, before a model is loaded.

    Args:
        out: The file wished for.

    Raises:
        BookError: Its name or its folder will not do, or it is no file of answers.
    """
    if out.suffix.lower() not in (".jsonl", ".csv"):
        raise BookError(f"--out {out}: a name that ends in .jsonl or .csv says which it shall be.")
    if not out.parent.is_dir():
        raise BookError(f"--out {out}: there is no folder {out.parent}. Remedy: make it first.")
    if out.is_file():
        next(read_book(out), None)
    elif out.exists():
        raise BookError(f"--out {out}: no file.")


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


def csv_line(row: Row) -> str:
    """Returns a row as CSV, without a line's end.

    Args:
        row: The row.
    """
    images = row.get("images") or []
    cells = {**row, "images": images if isinstance(images, str) else ";".join(images)}
    buffer = io.StringIO()
    # The writer quotes cells with what ends its lines in them: so it is told all that ends a line.
    csv.writer(buffer, lineterminator="\r\n").writerow(["" if cells.get(n) is None else cells[n] for n in COLUMNS])
    return buffer.getvalue().removesuffix("\r\n")


def _read_jsonl(out: Path) -> Iterator[Row | None]:
    halves = 0
    with out.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                row, halves = None, halves + 1
            if (
                halves > 1
                or (row is None and not _HALF.match(line))
                or (row is not None and not (isinstance(row, dict) and {"id", "model"} <= set(row)))
            ):
                raise _not_ours(out)
            yield row


def _read_csv(out: Path) -> Iterator[Row | None]:
    with out.open(encoding="utf-8", errors="replace", newline="") as file:
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
    return dict(zip(COLUMNS, cells, strict=True)) if len(cells) == len(COLUMNS) and cells[-1] else None


def _ends(file: Path) -> bool:
    """Tells whether a file's last line is whole."""
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) == b"\n"


def _not_ours(out: Path) -> BookError:
    return BookError(f"{out} is no file of answers, and stays as it is. Remedy: name another --out.")


def _lock_file(out: Path) -> Path:
    return out.with_name(f".{out.name}.lock")


def _locked(out: Path) -> int:
    """Locks a file beside the answers, which are renamed at times; the lock goes with this process, however it ends."""
    while True:
        descriptor = os.open(_lock_file(out), os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BookError(
                f"{out} is being written by another process. Remedy: wait for it, or name another."
            ) from None
        except OSError:  # a file system without locks: nobody can be kept out
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == _lock_file(out).stat().st_ino:
                return descriptor
        os.close(descriptor)  # whoever had it has unlinked it meanwhile
