"""A finished folder gets its name: by a rename, so that whoever looks sees it whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from cxr_lightning.durable import sync


def publish(partial: Path, final: Path) -> None:
    """Gives a finished folder its name; what had the name before goes only afterwards."""
    old = final.with_name(final.name + ".old")
    shutil.rmtree(old, ignore_errors=True)  # left over, should a process have died right here
    if final.exists():
        final.rename(old)
    partial.rename(final)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_all(folder: Path) -> None:
    """Waits until a folder's files are on disk, and that they are in it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
