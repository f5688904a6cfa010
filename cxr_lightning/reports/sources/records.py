"""A JSON file with a list of records enters, as large as it may be, and its records leave one at a time.

The file is a list, an object with such a list in it, or one record a line. A few MiB of it are in memory. A record
knows the byte it starts at, so that it can be read again instead of being held.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cxr_lightning.reports.sources.found import Flaw, SourceError
from cxr_lightning.reports.sources.lines import LONGEST, mark_of
from cxr_lightning.reports.sources.rows import Row, Table, halved

_SPACE = re.compile(r"[ \t\r\n]*")


class Records:
    """A JSON file of records that can be read through, and again record by record.

    Args:
        path: The file.
        under: The key that holds the list, where the file is an object.
    """

    def __init__(self, path: Path, under: str = "") -> None:
        self.path = path
        self._under = under

    def each(self) -> Iterator[Row | Flaw]:
        """Read record by record.

        Yields:
            A record, its number in the place of a line; or a flaw for what is no record.

        Raises:
            SourceError: The file as a whole is not JSON, or not a list of records.
        """
        if self.path.suffix.lower() == ".jsonl":
            yield from Table(self.path).each()
            return
        with self.path.open("rb") as file:
            cursor = _Cursor(file, self.path)
            if cursor.peek() == "{" and self._under:
                self._enter(cursor)
            if cursor.peek() == "[":
                cursor.skip()
                yield from self._listed(cursor)
            elif cursor.peek() == "{" and not self._under:
                yield from self._following(cursor)
            else:
                raise SourceError(f"{self.path}: not a list of records")

    def at(self, file: IO[bytes], number: int, start: int) -> Row | Flaw:
        """Read a record again.

        Args:
            file: The file, open for reading.
            number: The record's number, or its line.
            start: The byte it starts at.
        """
        if self.path.suffix.lower() == ".jsonl":
            return Table(self.path).at(file, number, start)
        cursor = _Cursor(file, self.path, start, chunk=2**12)
        return self._row(cursor, number)

    def _enter(self, cursor: _Cursor) -> None:
        """Goes to the list in an object; what stands before it is read and dropped."""
        cursor.skip()
        while cursor.peek() == '"':
            key = cursor.value()[0]
            cursor.expect(":")
            if key == self._under:
                return
            cursor.value()
            if cursor.peek() == ",":
                cursor.skip()
        raise SourceError(f"{self.path}: an object without '{self._under}', which holds the records")

    def _following(self, cursor: _Cursor) -> Iterator[Row | Flaw]:
        """Records one after the other, as lines of a file that is called .json all the same."""
        number = 0
        while cursor.peek():
            number += 1
            yield self._row(cursor, number)

    def _listed(self, cursor: _Cursor) -> Iterator[Row | Flaw]:
        number = 0
        while cursor.peek() not in ("]", ""):
            number += 1
            yield self._row(cursor, number)
            if cursor.peek() not in (",", "]", ""):
                raise cursor.broken()
            if cursor.peek() == ",":
                cursor.skip()
        if cursor.peek() == "":
            raise SourceError(f"{self.path}: its list is cut off after {number} records")

    def _row(self, cursor: _Cursor, number: int) -> Row | Flaw:
        cursor.peek()
        start = cursor.byte
        value, text = cursor.value()
        if not isinstance(value, dict):
            return Flaw(f"{self.path.name}#{number}", "row unreadable", f"a JSON {type(value).__name__}, not an object")
        if halved(text, value):
            return Flaw(f"{self.path.name}#{number}", "row unreadable", "escapes half a character")
        return Row(number, value, start)


class _Cursor:
    """A place in a JSON text that moves on value by value.

    Args:
        file: The file.
        path: Its path, for people.
        start: The byte to start at.
        chunk: Bytes to read at a time, at least.
    """

    def __init__(self, file: IO[bytes], path: Path, start: int = 0, chunk: int = 2**18) -> None:
        file.seek(start)
        self._chunk = chunk
        self._file, self._path = file, path
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text, self._at = "", 0
        self._more_there = True
        self.byte = start
        if not start:
            self._start()

    def _start(self) -> None:
        self.byte = mark_of(self._file.read(4), self._path)
        self._file.seek(self.byte)

    def peek(self) -> str:
        """Returns the next character that is no space, or nothing at the end."""
        while True:
            self._move(_SPACE.match(self._text, self._at).end())  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def skip(self) -> None:
        """Moves over one character."""
        self._move(self._at + 1)

    def expect(self, character: str) -> None:
        """Moves over a character that must be there."""
        if self.peek() != character:
            raise self.broken()
        self.skip()

    def value(self) -> tuple[object, str]:
        """Reads a JSON value; returns it with its text."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or len(self._text) - self._at > LONGEST or not self._read():
                    raise self.broken() from None
                continue
            # A number that ends with what was read so far may go on.
            if end == len(self._text) and self._read():
                continue
            text = self._text[self._at : end]
            self._move(end)
            return value, text

    def broken(self) -> SourceError:
        """Makes the error for what is not JSON here."""
        return SourceError(f"{self._path}: not JSON at byte {self.byte}, or a record larger than {LONGEST >> 20} MiB")

    def _move(self, to: int) -> None:
        passed = self._text[self._at : to]
        self.byte += len(passed) if passed.isascii() else len(passed.encode())
        self._at = to

    def _read(self) -> bool:
        if not self._more_there:
            return False
        # As much again as is kept: a long record is not decoded anew for every chunk.
        raw = self._file.read(max(self._chunk, len(self._text) - self._at))
        self._more_there = bool(raw)
        try:
            self._text = self._text[self._at :] + self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError:
            raise SourceError(
                f"{self._path}: not UTF-8 after byte {self.byte}; convert it: iconv -f CP1252 -t UTF-8 IN > OUT"
            ) from None
        self._at = 0
        return self._more_there
