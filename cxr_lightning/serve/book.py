"""The file of answers, JSONL or CSV: rows are added as they come, and what a kill leaves of it is gone on from.

Every row says which model was asked what, so that a file needs nothing beside it to be understood or continued.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cxr_lightning.durable import append, sync, write_text
from cxr_lightning.serve.asking import Answered
from cxr_lightning.serve.cases import Case
from cxr_lightning.serve.rows import COLUMNS, BookError, Row, csv_line, is_csv, json_line, plain, read_book


class Book:
    """A file of answers, open for more; nobody else may add to it meanwhile.

    Args:
        out: The file, `.jsonl` or `.csv`; what it holds stays, but for errors and half a row.
        model: Which model answers, as rows say it.
        max_new_tokens: Longest answer, as rows say it.
        image_size: Longest side of the films shown, as rows say it; None where it is not known.
        overwrite: Begin anew.

    Raises:
        BookError: The file is of another model or other settings, is no file of answers, or is being written.
    """

    def __init__(
        self, out: Path, *, model: str, max_new_tokens: int, image_size: int | None = None, overwrite: bool = False
    ) -> None:
        require_book(out)
        self._image_size = image_size
        self.out, self._model, self._max_new_tokens = out, model, max_new_tokens
        self._csv = is_csv(out)
        self._lock = _locked(out)
        self._asked: dict[str, tuple[int, str, str]] = {}  # question, films, image_size
        self._stale: set[str] = set()
        self._size = str(image_size or "")
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
        """Tells whether a case was answered before, and its films are the same still.

        Args:
            case: The case.

        Raises:
            BookError: It was, and to another question.
        """
        asked = self._asked.get(plain(case.id))
        if asked is None:
            return False
        if asked[0] != hash(case.question):
            raise BookError(
                f"{self.out} answers another question about {case.id}. "
                "Remedy: ask the same, or name another --out, or add --overwrite true."
            )
        if asked[1:] != (case.stamp, self._size):
            self._stale.add(plain(case.id))
            return False
        return True

    def forget_stale(self) -> int:
        """Drops answers about films that are no longer what they were, as `has` found them; they are asked again.

        Returns:
            How many.
        """
        stale, self._stale = self._stale, set()
        if stale:
            self._rewrite(lambda row: plain(str(row["id"])) not in stale)
            self._asked = {each: asked for each, asked in self._asked.items() if each not in stale}
        return len(stale)

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
        write_text(self.out, self._header())

    def _go_on(self) -> None:
        """Takes up what is answered; errors are asked again, and half a row is."""

        def take(row: Row) -> bool:
            if row.get("error"):
                return False
            self._require_same(row)
            self._asked[plain(str(row["id"]))] = (
                hash(row["question"]),
                str(row["films"]),
                str(row["image_size"] or ""),
            )
            return True

        self._rewrite(take)

    def _rewrite(self, keep: Callable[[Row], bool]) -> None:
        """Leaves out rows, all at once; what stays in full is not touched."""
        aside, dropped = self.out.with_name(self.out.name + ".partial"), 0
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(self._header())
                for row in read_book(self.out):
                    if row is None or not keep(row):
                        dropped += 1
                        continue
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
        return {
            **row,
            "films": answered.case.stamp,
            "image_size": self._image_size,
            "max_new_tokens": self._max_new_tokens,
            "model": self._model,
        }

    def _header(self) -> str:
        return ",".join(COLUMNS) + "\n" if self._csv else ""

    def _line(self, row: Row) -> str:
        return csv_line(row) if self._csv else json_line(row)


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
