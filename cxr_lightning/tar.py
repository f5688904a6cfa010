"""Tar headers one after another, whoever wrote them: ustar, GNU, pax. Bytes enter, names and byte ranges leave.

Python's own tarfile reads a whole archive, and any header, name or map of holes in it into memory, however long it says
it is; here any stretch that begins at a header is read, and nothing longer than `_LONGEST_EXTENSION` is ever held.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

BLOCK = 512
_LONGEST_EXTENSION = 1 << 20
_MORE_HOLES, _STILL_MORE_HOLES = 482, 504
"""Where GNU's header of a file with holes, and a block that goes on with it, say that such a block follows."""
_EXTENSIONS = (b"x", b"X", b"g", b"L", b"K")
_PLAIN = (b"0", b"\0", b"7")
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")
_PACKED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
    b"PK": "unzip",
}


class TarError(ValueError):
    """Bytes are no tar, or end too early: the message says where, and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a tar.

    Attributes:
        name: Its path; bytes that are no UTF-8 stand as surrogates.
        kind: What it is: "file", "folder", or "link, device or sparse file".
        start: Its first byte, headers included.
        data: First byte of its content.
        size: Bytes of its content.
    """

    name: str
    kind: str
    start: int
    data: int
    size: int

    @property
    def end(self) -> int:
        """The byte after its padding."""
        return self.data + padded(self.size)


class _Header(NamedTuple):
    name: bytes
    type: bytes
    size: int


def padded(size: int) -> int:
    """Returns a size in whole blocks.

    Args:
        size: In bytes.
    """
    return size + -size % BLOCK


def entries(read: Callable[[int, int], bytes], length: int) -> Iterator[Entry]:
    """List the members of a tar or of a stretch of one.

    Args:
        read: Gives the bytes from an offset on, by offset and size; the offsets only grow.
        length: Bytes that there are.

    Yields:
        The members up to the archive's end mark, or to the end of the bytes.

    Raises:
        TarError: The bytes are no tar, or end inside a member.
    """
    at = 0
    while at < length:
        if _fetch(read, at, BLOCK, length) == bytes(BLOCK):
            return
        entry = _entry(read, at, length)
        if entry.end > length:
            raise _cut(entry.start)
        yield entry
        at = entry.end


class Stream(Protocol):
    """A file, or what gzip makes of one: read from its beginning to its end."""

    def seek(self, offset: int, /) -> int:
        """Goes on to an offset."""

    def read(self, size: int, /) -> bytes:
        """Reads so many bytes, or what is left."""


def streamed(file: Stream) -> Iterator[Entry]:
    """List the members of a tar of unknown length that is read once, as one that gzip unpacks.

    Args:
        file: The tar. Between two members its reader may seek on to the content of the last one, and read it.

    Yields:
        The members up to the archive's end mark. That a member's content is whole is for its reader to see.

    Raises:
        TarError: The bytes are no tar, or end before the mark.
    """
    return entries(_Onward(file), sys.maxsize)


class _Onward:
    """Bytes by offset and size out of a stream, which goes on and never back; the last ones may be asked for again."""

    def __init__(self, file: Stream) -> None:
        self._file = file
        self._last, self._asked = b"", (-1, -1)

    def __call__(self, offset: int, size: int) -> bytes:
        if (offset, size) != self._asked:
            self._file.seek(offset)
            self._last, self._asked = self._file.read(size), (offset, size)
        return self._last


def _entry(read: Callable[[int, int], bytes], start: int, length: int) -> Entry:
    name, size, sparse, at = None, None, False, start
    while True:
        block = _fetch(read, at, BLOCK, length)
        header = _header(block, at)
        at += BLOCK
        if header.type not in _EXTENSIONS:
            break
        if header.size > _LONGEST_EXTENSION:
            raise _no_tar(block, at)
        text = _fetch(read, at, header.size, length)
        at += padded(header.size)
        if header.type == b"L":
            name = text.split(b"\0", 1)[0]
        elif header.type in b"xX":
            told = _told(text, at)
            name, size = told.get(b"path", name), _size_told(told, size, at)
            sparse = sparse or any(key.startswith(b"GNU.sparse") for key in told)
    if header.type == b"S":
        sparse, more = True, block[_MORE_HOLES]
        while more:
            more, at = _fetch(read, at, BLOCK, length)[_STILL_MORE_HOLES], at + BLOCK
    name = header.name if name is None else name
    empty = header.type in _EMPTY  # has no content behind its header, whatever size the header gives
    kind = _kind(header.type, name, sparse)
    return Entry(
        name=(name.rstrip(b"/") if kind == "folder" else name).decode("utf-8", "surrogateescape"),
        kind=kind,
        start=start,
        data=at,
        size=0 if empty else header.size if size is None else size,
    )


def _kind(type: bytes, name: bytes, sparse: bool) -> str:
    if type == b"5" or (type == b"\0" and name.endswith(b"/")):  # the second is how tars of 1979 say it
        return "folder"
    return "file" if type in _PLAIN and not sparse else "link, device or sparse file"


def _header(block: bytes, at: int) -> _Header:
    """Read what is needed of a header; Python's tarfile reads all of it and takes ten times as long."""
    fields = bytearray(block)
    fields[148:156] = b" " * 8  # as it was when its sum was taken
    told, total = _number(block[148:156]), sum(fields)
    # Some old programs summed signed bytes.
    if told != total and told != total - 256 * sum(byte > 127 for byte in fields):
        raise _no_tar(block, at)
    size = _number(block[124:136])
    if size is None:
        raise _no_tar(block, at)
    name, type = _text(block[:100]), block[156:157]
    if block[257:263] == b"ustar\0" and block[345]:
        name = _text(block[345:500]) + b"/" + name
    return _Header(name, type, size)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int | None:
    """Read a number: octal digits, or, where the first bit is set, a binary one; none below zero is wanted."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _text(field).strip()
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else None


def _told(text: bytes, at: int) -> dict[bytes, bytes]:
    """Take the records of a pax header apart: "LENGTH KEY=VALUE" and a line break, one after another."""
    told: dict[bytes, bytes] = {}
    place = 0
    while place < len(text):
        digits, mark, _ = text[place : place + 20].partition(b" ")
        if not mark or not digits.isdigit() or int(digits) <= len(digits) + 1:
            raise _no_tar(text, at)
        key, _, value = text[place + len(digits) + 1 : place + int(digits) - 1].partition(b"=")
        told[key] = value
        place += int(digits)
    return told


def _size_told(told: dict[bytes, bytes], before: int | None, at: int) -> int | None:
    size = told.get(b"size")
    if size is None:
        return before
    if not size.isdigit() or len(size) > 19:
        raise _no_tar(size, at)
    return int(size)


def _fetch(read: Callable[[int, int], bytes], offset: int, size: int, length: int) -> bytes:
    if offset + size > length:
        raise _cut(offset)
    content = read(offset, size)
    if len(content) < size:
        raise _cut(offset)
    return content


def _cut(offset: int) -> TarError:
    return TarError(f"cut off: it ends inside the member at byte {offset}; copy it again")


def _no_tar(block: bytes, offset: int) -> TarError:
    program = next((program for mark, program in _PACKED.items() if block.startswith(mark)), None)
    if program:
        return TarError(f"compressed, so that no sample can be read alone; unpack it first: {program}")
    return TarError(f"not a tar, or damaged: there is no header at byte {offset}; copy it again")
