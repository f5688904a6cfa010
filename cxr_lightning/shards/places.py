"""Words of a command line enter, the tars that they mean leave: paths, folders, globs, brace ranges, URLs."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from braceexpand import braceexpand

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError

_NOTHING = "there is no tar and no folder of this name; look at the path"


def tars_of(words: Iterable[str]) -> list[str]:
    """Find tars.

    Args:
        words: Paths, URLs, folders of either (a URL of a folder ends with "/"), globs, and brace ranges such as
            `train-{000..012}.tar`.

    Returns:
        Absolute paths and URLs, each once, in the order of the words; those of a folder or glob by name.

    Raises:
        ShardError: A word means nothing that is there.
        StorageError: A remote folder cannot be listed.
    """
    found = dict.fromkeys(tar for word in words for each in braceexpand(word) for tar in _tars(each))
    if not found:
        raise ShardError("no tar was named; give paths, folders, globs or URLs")
    return list(found)


def _tars(word: str) -> Iterator[str]:
    if storage.is_remote(word):
        pattern = f"{word}*.tar" if word.endswith("/") else word
        found = storage.find(pattern) if _is_pattern(pattern) else [pattern]
    else:
        path = storage.local_path(word)
        pattern = str(Path(glob.escape(str(path))) / "*.tar") if path.is_dir() else str(path)
        there = [str(path)] if path.is_file() else sorted(glob.glob(pattern))  # a name may look like a glob
        found = [str(Path(each).resolve()) for each in there]
    if not found:
        raise ShardError(f"{word}: {_absence(word)}")
    yield from found


def _absence(word: str) -> str:
    if storage.is_remote(word):
        return "there is no tar; look at the URL"
    path = storage.local_path(word)
    if path.is_dir():
        return "there is no tar in this folder; give the one that has some"
    return "there is no tar of such a name; look at the pattern" if _is_pattern(word) else _NOTHING


def _is_pattern(word: str) -> bool:
    return any(mark in word for mark in "*[")
