"""Lines of a text file, plain or gzip, with the byte each starts at: what enters is a path, what leaves is Unicode.

Text is UTF-8. What is not is refused by the name of what it looks like, and not guessed at: a guess would write wrong
letters into a hundred thousand reports. No line is longer than memory allows, whatever a damaged file holds.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from cxr_lightning.reports.sources.found import SourceError

LONGEST = 16 * 2**20
"""Bytes of a line; the longest report known has some ten thousand."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        number: Counted from 1.
        start: The byte it starts at.
        size: Its length in bytes.
        text: The line with its end.
    """

    number: int
    start: int
    size: int
    text: str


def lines(path: Path) -> Iterator[Line]:
    """Read a file line by line.

    Args:
        path: A text file; one that ends in .gz is unpacked on the way.

    Raises:
        SourceError: It is not UTF-8, cut off, or has a line longer than `LONGEST`.
        OSError: It cannot be opened.
    """
    with opened(path) as file:
        yield from lines_of(file, path)


def lines_of(file: IO[bytes], path: Path, number: int = 1, start: int = 0) -> Iterator[Line]:
    """Read an open file from some line on.

    Args:
        file: The file.
        path: Its path, for people.
        number: Number of the first line to read.
        start: The byte it starts at.

    Raises:
        SourceError: It is not UTF-8, or has a line longer than `LONGEST`.
    """
    if start or file.seekable():
        file.seek(start)
    while raw := _line(file, path, number):
        yield Line(number, start, len(raw), decoded(raw, path, number))
        number, start = number + 1, start + len(raw)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, plain or gzip, so that damage has a name.

    Args:
        path: The file.

    Raises:
        SourceError: It is damaged gzip.
    """
    with path.open("rb") as plain:
        packed = path.suffix.lower() == ".gz"
        file: IO[bytes] = gzip.GzipFile(fileobj=plain) if packed else plain  # type: ignore[assignment]
        try:
            yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{path}: not whole gzip ({error}); download it again and check its checksum") from None


def decoded(raw: bytes, path: Path, number: int) -> str:
    """Decode a line.

    Args:
        raw: Its bytes.
        path: The file, for people.
        number: The line's number; the first one may begin with a byte order mark.

    Raises:
        SourceError: It is not UTF-8; the message says what it looks like.
    """
    if number == 1:
        raw = raw[mark_of(raw, path) :]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        looks = "UTF-16" if raw.count(0) * 3 > len(raw) else "CP1252"
        raise _foreign(path, number, looks) from None


def mark_of(raw: bytes, path: Path) -> int:
    """Measure the byte order mark that a file begins with.

    Args:
        raw: Its first bytes.
        path: The file, for people.

    Returns:
        The bytes to skip: 3 or none.

    Raises:
        SourceError: The mark is one of another encoding than UTF-8.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            raise _foreign(path, 1, name)
    return len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0


def _line(file: IO[bytes], path: Path, number: int) -> bytes:
    raw = file.readline(LONGEST + 1)
    if len(raw) > LONGEST:
        raise SourceError(f"{path}:{number}: a line longer than {LONGEST >> 20} MiB; is this the file you mean?")
    return raw


def _foreign(path: Path, number: int, looks: str) -> SourceError:
    also = " (Latin-1, Windows)" if looks == "CP1252" else ""
    return SourceError(
        f"{path}:{number}: not UTF-8; it looks like {looks}{also}. "
        f"Convert it: iconv -f {looks} -t UTF-8 IN > OUT (gunzip it first if it is packed)"
    )
