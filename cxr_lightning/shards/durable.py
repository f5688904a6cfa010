"""Files that are whole or not there: what a kill, a full disk or a power cut leaves is never taken for something."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
    """Writes a file, whole or not at all; what had the name before goes then."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.partial")
    aside.write_bytes(content)
    aside.replace(file)


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
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        except OSError:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def json_lines(file: Path) -> list[dict[str, Any]]:
    """Returns lines of JSON, none where there is no file; half a line, of which the writer died, is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for text in file.read_text(encoding="utf-8").split("\n"):  # not at what else ends lines: a text may hold it
            with contextlib.suppress(ValueError):
                found.append(json.loads(text))
    return found
