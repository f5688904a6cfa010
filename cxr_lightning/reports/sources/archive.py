"""A folder, a zip or a tgz of small text files enters, its files leave one at a time, in the order of their names.

Nothing is unpacked to disk, nothing larger than `LARGEST` is read, and names that lead out are not followed. A tgz can
only be read from its beginning to its end; the two others also by name.
"""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from cxr_lightning.reports.sources.found import SourceError, StudyError
from cxr_lightning.reports.sources.inside import inside
from cxr_lightning.tar import Entry, Stream, streamed

LARGEST = 2**20
"""Bytes of one file; the longest report known has some ten thousand."""

# What the standard library's readers raise where bytes are damaged, some of it by accident of theirs.
_DAMAGE = (
    *(EOFError, OSError, RuntimeError, TypeError, ValueError, IndexError, OverflowError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)
TGZ = (".tgz", ".tar.gz", ".tar")
_GZIP = b"\x1f\x8b"


class Member(NamedTuple):
    """A file of an archive.

    Attributes:
        name: Its path in the archive, with forward slashes.
        content: Its bytes, or what keeps it out.
    """

    name: str
    content: bytes | StudyError


class Folder:
    """A folder of files.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def names(self, suffix: str, depth: int = 16, under: str = "") -> Iterator[str]:
        """List files below, folder by folder; of a large tree only one path is in memory.

        Args:
            suffix: How names end.
            depth: How many folders deep to look.
            under: A folder of the archive.

        Raises:
            SourceError: A folder cannot be listed.
        """
        try:
            with os.scandir(self.path / under) as entries:
                # A folder that is a link is not entered: it may lead out, or round in a circle.
                here = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except OSError as error:  # told without its name, which may be a patient's
            raise SourceError(f"{self.path}: a folder in it cannot be listed ({error.strerror})") from None
        for name, is_folder in here:
            if is_folder and depth:
                yield from self.names(suffix, depth - 1, f"{under}{name}/")
            elif not is_folder and name.lower().endswith(suffix):
                yield under + name

    def read(self, name: str) -> bytes:
        """Read a file.

        Args:
            name: Its path in the archive.

        Raises:
            StudyError: It is missing, too large, or leads out.
        """
        try:
            path = inside(self.path, name)
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited at for ever
                raise StudyError("text unreadable", "no ordinary file")
            with path.open("rb") as file:
                return _bounded(file.read(LARGEST + 1))
        except OSError as error:
            raise _unreadable(error) from None

    def each(self, suffix: str) -> Iterator[Member]:
        """Read every file of a kind.

        Args:
            suffix: How names end.
        """
        for name in self.names(suffix):
            yield _member(self, name)


class Zip:
    """A zip file; its table of contents is in memory, about half a KiB a file.

    Args:
        path: The zip file.

    Raises:
        SourceError: It is no whole zip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise SourceError(
                f"{path}: not a whole zip ({type(error).__name__}); download it again and check its checksum"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zip.close()

    def names(self, suffix: str, depth: int = 16) -> Iterator[str]:
        """List files, sorted by name.

        Args:
            suffix: How names end.
            depth: Of no account here, where all names are known.
        """
        yield from sorted(name for name in self._zip.namelist() if name.lower().endswith(suffix))

    def read(self, name: str) -> bytes:
        """Read a file.

        Args:
            name: Its path in the archive.

        Raises:
            StudyError: It is missing, too large or damaged.
        """
        try:
            with self._zip.open(name) as file:
                content = file.read(LARGEST + 1)
        except KeyError:
            raise _unreadable(FileNotFoundError(name)) from None
        except _DAMAGE as error:
            raise _unreadable(error) from None
        return _bounded(content)

    def each(self, suffix: str) -> Iterator[Member]:
        """Read every file of a kind.

        Args:
            suffix: How names end.
        """
        for name in self.names(suffix):
            yield _member(self, name)


class Tgz:
    """A tar file, mostly packed with gzip, read once from beginning to end.

    Args:
        path: The tar file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open between two readings."""

    def each(self, suffix: str) -> Iterator[Member]:
        """Read every file of a kind, in the archive's order.

        Args:
            suffix: How names end.

        Raises:
            SourceError: It is no whole tar.
        """
        try:
            with self.path.open("rb") as raw, _unpacked(raw) as content:
                for entry in streamed(content):
                    if entry.kind == "file" and entry.name.lower().endswith(suffix):
                        yield Member(entry.name, _from_tar(content, entry))
        except _DAMAGE as error:
            raise SourceError(
                f"{self.path}: not a whole tar ({type(error).__name__}); download it again and check its checksum"
            ) from None


Archive = Folder | Zip | Tgz


def open_archive(path: Path) -> Archive:
    """Open a folder, a zip or a tgz.

    Args:
        path: Which of them its name says.

    Raises:
        SourceError: It is none of the three.
    """
    if path.is_dir():
        return Folder(path)
    if path.name.lower().endswith(".zip"):
        return Zip(path)
    if path.name.lower().endswith(TGZ):
        return Tgz(path)
    raise SourceError(f"{path}: neither a folder nor a .zip or .tgz")


def text_of(raw: bytes) -> str:
    """Decode a text file.

    Args:
        raw: Its bytes: UTF-8, with or without byte order mark.

    Raises:
        StudyError: It is not UTF-8; the reason names what it looks like.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        looks = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "CP1252"
        raise StudyError("text not UTF-8", f"not UTF-8 at byte {error.start}; it looks like {looks}") from None
    if "\0" in text:
        raise StudyError("text not UTF-8", "holds NUL bytes; it is no text, or UTF-16")
    return text


def _member(archive: Folder | Zip, name: str) -> Member:
    try:
        return Member(name, archive.read(name))
    except StudyError as error:
        return Member(name, error)


def _unpacked(raw: IO[bytes]) -> IO[bytes] | gzip.GzipFile:
    packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    return gzip.open(raw) if packed else raw


def _from_tar(content: Stream, entry: Entry) -> bytes | StudyError:
    if entry.size > LARGEST:
        return _too_large()
    content.seek(entry.data)
    found = content.read(entry.size)
    return found if len(found) == entry.size else _unreadable(EOFError())


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise _too_large()
    return content


def _too_large() -> StudyError:
    return StudyError("text too large", f"larger than {LARGEST >> 10} KiB, which no report is")


def _unreadable(error: BaseException) -> StudyError:
    if isinstance(error, FileNotFoundError):
        return StudyError("report missing", "there is no such file")
    return StudyError("text unreadable", f"cannot be read ({type(error).__name__})")
