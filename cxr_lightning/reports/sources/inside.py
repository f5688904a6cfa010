"""Names from a data set enter, paths under its folder leave: no list, archive or link leads a reader elsewhere.

A folder that the user links into ROOT is the user's own choice, so the folder itself may be a link; what lies deeper
may not lead out of it.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path, PurePosixPath

from cxr_lightning.reports.sources.found import StudyError

OUT = "path leads out"
MISSING = "image missing"
_OUT_REASON = "leads out of ROOT; give as ROOT the folder that holds it all"


def inside(folder: Path, name: str) -> Path:
    """Find a file by the name that a data set gives it.

    Args:
        folder: Where names start.
        name: A relative path with forward slashes, or an absolute one that lies in the folder all the same.

    Returns:
        The path, whether or not there is such a file.

    Raises:
        StudyError: The name, or a link on its way, leads out of the folder; or it is no name.
    """
    if not name or "\0" in name or len(name) > 4096:
        raise StudyError("path unusable", "a path is empty, longer than 4,096 characters, or holds a NUL byte")
    pure = PurePosixPath(name.replace("\\", "/"))
    if ".." in pure.parts:
        raise StudyError(OUT, f"a path with '..' {_OUT_REASON}")
    path = folder / pure
    if not _stays(folder, path):
        raise StudyError(OUT, f"an absolute path or a link {_OUT_REASON}")
    return path


def readable(folder: Path, name: str, suffixes: tuple[str, ...] = ("",)) -> Path | None:
    """Find the file that is there, under one of several endings.

    Args:
        folder: Where names start.
        name: A relative path.
        suffixes: What to append, the preferred one first.

    Returns:
        The first that is a regular file, or None.

    Raises:
        StudyError: The name, or a link on its way, leads out of the folder.
    """
    for suffix in suffixes:
        path = inside(folder, name + suffix)
        try:
            if stat.S_ISREG(path.stat().st_mode):
                return path
        except OSError:  # absent, too long a name, a loop of links
            continue
    return None


def _stays(folder: Path, path: Path) -> bool:
    home = _real(str(folder))
    parent = _real(str(path.parent))
    if parent is None or home is None or not _under(home, parent):
        return False
    try:
        if not stat.S_ISLNK(path.lstat().st_mode):
            return True
    except (OSError, ValueError):
        return True  # nothing there: nothing is read
    target = _real.__wrapped__(str(path))
    return target is not None and _under(home, target)


@lru_cache(maxsize=64)
def _real(path: str) -> str | None:
    # Asked once a folder, not once a file: a study's images lie together.
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return None


def _under(home: str, path: str) -> bool:
    return path == home or path.startswith(home.rstrip(os.sep) + os.sep)
