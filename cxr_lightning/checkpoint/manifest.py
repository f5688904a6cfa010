"""The manifest: which files make a checkpoint, their sizes and checksums.

It is written last; without it nothing is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from cxr_lightning.durable import sync
from cxr_lightning.shards.rows import digest_of

NAME = "manifest.json"


class DamagedCheckpointError(ValueError):
    """A file of a checkpoint is missing or is not what was saved."""


class Entry(TypedDict):
    """What the manifest says of a file.

    Attributes:
        bytes: Its size.
        sha256: Its checksum.
    """

    bytes: int
    sha256: str


def entry(path: Path) -> Entry:
    """Describes a written file, which is on disk by then; every rank does so for its own."""
    sync(path)
    return Entry(bytes=path.stat().st_size, sha256=digest_of(path))


def write(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Writes the manifest; call once every rank's files are there.

    Args:
        folder: The checkpoint.
        entries: What each of its files is, by name.
    """
    temporary = folder / f"{NAME}.partial"
    temporary.write_text(json.dumps({"schema": 1, "files": dict(sorted(entries.items()))}, indent=2) + "\n")
    sync(temporary)
    temporary.replace(folder / NAME)
    sync(folder)


def is_complete(folder: Path) -> bool:
    """Returns whether the manifest is there and every listed file has its size (cheap; contents are not read)."""
    try:
        files: dict[str, Entry] = json.loads((folder / NAME).read_text())["files"]
        sizes = [(folder / name).stat().st_size == saved["bytes"] for name, saved in files.items()]
        return bool(sizes) and all(sizes)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def verify(folder: Path) -> None:
    """Reads every file of a checkpoint and compares checksums.

    Raises:
        DamagedCheckpointError: At the first file that differs.
    """
    if not is_complete(folder):
        raise DamagedCheckpointError(f"{folder} is not complete. Remedy: resume from an earlier step of the same run.")
    for name, saved in json.loads((folder / NAME).read_text())["files"].items():
        if digest_of(folder / name) != saved["sha256"]:
            raise DamagedCheckpointError(
                f"{folder / name} is not what was saved (its checksum differs). "
                f"Remedy: delete {folder} and resume from an earlier step."
            )
