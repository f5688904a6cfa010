"""The manifest: which files make a checkpoint, their sizes and checksums.

It is written last; without it nothing is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

NAME = "manifest.json"


class DamagedCheckpointError(ValueError):
    """A file of a checkpoint is missing or is not what was saved."""


def write(folder: Path) -> None:
    """Lists every file of a folder with size and SHA-256, each on disk by then; call once all of them are written."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }
    for name in files:
        _sync(folder / name)
    (folder / NAME).write_text(json.dumps({"schema": 1, "files": files}, indent=2) + "\n")
    _sync(folder / NAME)
    _sync(folder)


def _sync(path: Path) -> None:
    """Waits until a file or folder is on disk: an older checkpoint is deleted only after the newer one is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_complete(folder: Path) -> bool:
    """Returns whether the manifest is there and every listed file has its size (cheap; contents are not read)."""
    try:
        files = json.loads((folder / NAME).read_text())["files"]
        return all((folder / name).stat().st_size == entry["bytes"] for name, entry in files.items())
    except (OSError, ValueError, KeyError):
        return False


def verify(folder: Path) -> None:
    """Reads every file of a checkpoint and compares checksums.

    Raises:
        DamagedCheckpointError: At the first file that differs.
    """
    if not is_complete(folder):
        raise DamagedCheckpointError(f"{folder} is not complete. Remedy: resume from an earlier step of the same run.")
    for name, entry in json.loads((folder / NAME).read_text())["files"].items():
        if digest(folder / name) != entry["sha256"]:
            raise DamagedCheckpointError(
                f"{folder / name} is not what was saved (its checksum differs). "
                f"Remedy: delete {folder} and resume from an earlier step."
            )


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
