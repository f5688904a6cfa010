"""Tar headers one after another, whoever wrote them: ustar, GNU, pax. Bytes enter, names and byte ranges leave.

Python's own tarfile reads a whole archive; here any stretch that begins at a header is read, so that one range read of
a sample can be taken apart by the rules by which the archive was indexed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cxr_lightning.shards.contract import ShardError

BLOCK = 512
_LONGEST_EXTENSION = 1 << 20
_MORE_HOLES, _STILL_MORE_HOLES = 482, 504
"""Where GNU's header of a file with holes, and a block that goes on with it, say that such a block follows."""
_EXTENSIONS = (b"x", b"X", b"g", b"L", b"K")
_PACKED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
    b"PK": "unzip",
}


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
        ShardError: The bytes are no tar, or end inside a member.
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


def _entry(read: Callable[[int, int], bytes], start: int, length: int) -> Entry:
    name, size, sparse, at = None, None, False, start
    while True:
        block = _fetch(read, at, BLOCK, length)
        info = _header(block, at)
        at += BLOCK
        if info.type not in _EXTENSIONS:
            break
        if not 0 <= info.size <= _LONGEST_EXTENSION:
            raise _no_tar(block, at)
        text = _fetch(read, at, info.size, length)
        at += padded(info.size)
        if info.type == b"L":
            name = text.split(b"\0", 1)[0]
        elif info.type in (b"x", b"X"):
            told = _told(text, at)
            name, size = told.get(b"path", name), _number(told, size, at)
            sparse = sparse or any(key.startswith(b"GNU.sparse") for key in told)
    if info.type == tarfile.GNUTYPE_SPARSE:
        sparse, more = True, block[_MORE_HOLES]
        while more:
            more, at = _fetch(read, at, BLOCK, length)[_STILL_MORE_HOLES], at + BLOCK
    kind = "file" if info.isreg() and not sparse else "folder" if info.isdir() else "other"
    # What is no file has no content behind its header, whatever size the header gives.
    size = (info.size if size is None else size) if info.isreg() else 0
    if size < 0:
        raise _no_tar(block, at)
    return Entry(
        name=info.name if name is None else name.decode("utf-8", "surrogateescape"),
        kind="link, device or sparse file" if kind == "other" else kind,
        start=start,
        data=at,
        size=size,
    )


def _header(block: bytes, at: int) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError):
        raise _no_tar(block, at) from None


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


def _number(told: dict[bytes, bytes], before: int | None, at: int) -> int | None:
    size = told.get(b"size")
    if size is None:
        return before
    if not size.isdigit() or len(size) > 19:
        raise _no_tar(size, at)
    return int(size)


def _fetch(read: Callable[[int, int], bytes], offset: int, size: int, length: int) -> bytes:
    if offset + size > length:
        raise _cut(offset)
    return read(offset, size)


def _cut(offset: int) -> ShardError:
    return ShardError(f"cut off: it ends inside the member at byte {offset}; copy it again")


def _no_tar(block: bytes, offset: int) -> ShardError:
    program = next((program for mark, program in _PACKED.items() if block.startswith(mark)), None)
    if program:
        return ShardError(f"compressed, so that no sample can be read alone; unpack it first: {program}")
    return ShardError(f"not a tar, or damaged: there is no header at byte {offset}; copy it again")
