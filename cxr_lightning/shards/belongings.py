"""What packing makes has names of its own, compared whole: nothing else is ever replaced or removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cxr_lightning.shards.contract import INDEX_NAME, ROWS_NAME
from cxr_lightning.shards.locking import JOINING, LOCK
from cxr_lightning.shards.plan import ORDER, PLAN, STUDIES
from cxr_lightning.study import SPLITS

MADE, JOINED, OLD, REFUSED = "made", "joined", "old", "refused"
PUBLISHED, PACKED, SKIPPED = "published", "packed", "skipped.jsonl"
_OWN = r"(\.[\w.-]+)?\.\d+(\.[0-9a-f]{8})?"
"""What `durable.own` adds to a name."""
_SHARD = rf"({'|'.join(SPLITS)})-\d{{6,}}"
_SET = rf"{re.escape(INDEX_NAME)}(\.unused\.jsonl)?|{re.escape(ROWS_NAME)}|{_SHARD}\.tar"
SET = re.compile(_SET)
"""Names in a folder of shards."""
PARTIAL = re.compile("|".join((
    rf"{LOCK}|{JOINING}|{REFUSED}",
    rf"({PUBLISHED}|{PACKED}|{re.escape(SKIPPED)}|{re.escape(PLAN)})({_OWN}\.partial)?",
    rf"({re.escape(STUDIES)}|{re.escape(ORDER)})({_OWN})?",
    rf"{MADE}(/{_SHARD}(\.(tar|json)({_OWN}\.partial)?|\.npy({_OWN})?))?",
    rf"{JOINED}{_OWN}(/({_SET}|({re.escape(INDEX_NAME)}|{re.escape(ROWS_NAME)}|{_SHARD}\.tar{_OWN})\.partial))?",
    rf"{OLD}{_OWN}(/({_SET}))?",
)))  # fmt: skip
"""Paths in the folder in which shards are made, from it."""


_GOING = re.compile(r"\.nfs[0-9a-f]{8,}")
"""What NFS calls a file that was removed while somebody had it open; it goes when that one ends."""


def refuse_strangers(folder: Path, known: re.Pattern[str]) -> None:
    """Refuses to touch a folder with anything in it that packing does not make: a slip of the hand costs no data.

    Args:
        folder: The folder.
        known: What packing makes there.

    Raises:
        ValueError: There is something else; the message names it.
    """
    for path in _paths(folder):
        name = path.relative_to(folder).as_posix()
        if not known.fullmatch(name):
            raise ValueError(
                f"{folder}: holds '{name}', which no shard is; --overwrite replaces folders of shards only. Remedy: "
                "give another folder, or take it out"
            )


def refuse_other_sets(out: Path) -> None:
    """Refuses to replace a folder that is not known to hold a set of shards, all of them packed.

    Args:
        out: The folder.

    Raises:
        ValueError: It has no index, its tars are others' that `cxr index` has read, or something else is there.
    """
    refuse_strangers(out, SET)
    try:
        index = json.loads((out / INDEX_NAME).read_text())
        listed = {shard["name"] for shard in index["shards"]}
        packed = bool(index["fingerprint"]) and index.get("members") is None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        listed, packed = set(), False
    others = sorted(path.name for path in out.glob("*.tar") if path.name not in listed)
    if others or not packed:
        raise ValueError(
            f"{out}: {f'{others[0]!r} is not listed in' if packed else 'has no'} {INDEX_NAME} of packed shards"
            f"{' there' if packed else ''}; --overwrite replaces nothing else. Remedy: give another folder, or remove "
            "this one"
        )


def remove(folder: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Removes what packing made in its folder, and what else is there stays.

    Args:
        folder: The folder in which shards are made.
        keep: Names in it that stay.
    """
    for path in _paths(folder):
        name = path.relative_to(folder).as_posix()
        if name in keep or not PARTIAL.fullmatch(name):
            continue
        with contextlib.suppress(FileNotFoundError):  # another one, where there are no locks, was faster
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
            else:
                path.unlink()


def _paths(folder: Path) -> Iterator[Path]:
    """Yields all that is in a folder, each folder after what is in it; but for files that go by themselves."""
    for root, folders, files in os.walk(folder, topdown=False):
        for name in sorted(file for file in files if not _GOING.fullmatch(file)) + sorted(folders):
            yield Path(root, name)
