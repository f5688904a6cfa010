"""Files that are whole or not there: what a kill, a full disk or a power cut leaves is never taken for something."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

_TOKEN = secrets.token_hex(4)


def own() -> str:
    """Names this process as no other is named: containers of one node may share its name and count processes alike."""
    return f"{os.uname().nodename}.{os.getpid()}.{_TOKEN}"


def sync(path: Path) -> None:
    """Waits until a file or folder is on disk: an older checkpoint is deleted only after the newer one is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(file: Path, text: str) -> None:
    """Writes a small file, whole or not at all; what had the name before goes then."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Writes a file, whole or not at all; what had the name before goes then.

    Raises:
        OSError: It could not be written, and names it; what had the name before is there, and nothing beside it.
    """
    aside = file.with_name(f"{file.name}.{own()}.partial")
    try:
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # else a power cut may leave the name without the bytes
        aside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            aside.unlink(missing_ok=True)
        raise _named(error, file) from error
    except BaseException:  # a signal, heard in between
        aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def written(file: Path, mode: int = 0o666) -> Iterator[TextIO]:
    """Opens a large file for writing, which is there whole once the block ends well, and else not at all.

    Args:
        file: The file; what had the name before goes then.
        mode: Who may read it.

    Raises:
        OSError: It could not be written, and names it; what had the name before is there, and nothing beside it.
    """
    aside = file.with_name(f"{file.name}.{own()}.partial")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        aside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            aside.unlink(missing_ok=True)
        raise (_named(error, file) if error.filename in (None, str(aside)) else error) from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def append(file: Path, lines: Sequence[str]) -> None:
    """Adds lines, whole or not at all; half a line, left by a node that died in it, does not spoil them.

    Raises:
        OSError: If they could not be written; the file is as it was.
    """
    data = "".join(f"{line}\n" for line in lines).encode()
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":
            data = b"\n" + data
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                os.ftruncate(descriptor, before)
            raise _named(error, file) from error
    finally:
        os.close(descriptor)


def json_lines(file: Path) -> list[dict[str, Any]]:
    """Returns lines of JSON, none where there is no file.

    What is no table is left out, and half a line of which the writer died, even if it ends within a letter.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    return tables(content)


def tables(content: bytes) -> list[dict[str, Any]]:
    """Returns the tables of JSON among lines.

    Args:
        content: The lines; each is decoded for itself, so that one that is spoilt spoils no other.
    """
    found = []
    for line in content.split(b"\n"):  # not at what else ends lines: a text may hold it
        with contextlib.suppress(ValueError, RecursionError):
            table = json.loads(line.decode())
            if isinstance(table, dict):
                found.append(table)
    return found


def _named(error: OSError, file: Path) -> OSError:
    """Returns the error with the file that the user knows, and what to do."""
    told = f"{error.strerror}; it is as it was. Remedy: make room there, or see who may write, then the same again"
    return OSError(error.errno, told, str(file))
