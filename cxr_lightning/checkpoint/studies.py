"""Which studies a model has learned from, by key and by look, in a file that goes with it: `studies.npy`.

Written when a training begins, what earlier stages and a base of ours learned from included; copied by `cxr export`.
`cxr evaluate` refuses to score a model on them. Keys are hashes and no film can be made of a look, but who has a film
can find out whether it is among them: delete the file before giving a model away, where that must not be known.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.durable import write_bytes
from cxr_lightning.shards.index import ShardIndex
from cxr_lightning.shards.looks import NOTHING, known_again
from cxr_lightning.shards.rows import Rows

NAME = "studies.npy"


class StudiesError(ValueError):
    """A file of learned studies is damaged."""


@dataclass(frozen=True)
class Studies:
    """Studies by key and look.

    Attributes:
        rows: Structured, with the fields `key` (UTF-8) and `look` (4 u8); each key once, in order.
    """

    rows: NDArray[np.void]

    def __len__(self) -> int:
        """Returns how many."""
        return len(self.rows)

    def among(self, trained: Studies) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tells which of these are among others.

        Args:
            trained: The others.

        Returns:
            (N) by key, and (N) by look.
        """
        by_key = np.isin(self.rows["key"], trained.rows["key"])
        return by_key, known_again(self.rows["look"], trained.rows["look"])


def studies_of(parts: Iterable[Rows]) -> Studies:
    """Takes studies from rows of indexes.

    Args:
        parts: Rows that have `key` and `look`.
    """
    all_of_them = list(parts)
    width = max((part.dtype["key"].itemsize for part in all_of_them), default=1)
    rows = np.zeros(sum(map(len, all_of_them)), _type(width))
    start = 0
    for part in all_of_them:
        here = rows[start : start + len(part)]
        here["key"], here["look"] = part["key"], part["look"]
        start += len(part)
    _, first = np.unique(rows["key"], return_index=True)
    return Studies(rows[first])


def trained_on(indexes: Iterable[ShardIndex], ancestors: Iterable[Path]) -> Studies:
    """Gathers what a training learns from, and what went before it.

    Args:
        indexes: The shards trained on.
        ancestors: Folders of earlier runs and of bases; those without such a file tell nothing.
    """
    earlier = [read_studies(folder) for folder in ancestors]
    return studies_of(
        [*(index.split("train").rows for index in indexes), *(each.rows for each in earlier if each is not None)]
    )


def write_studies(folder: Path, studies: Studies) -> None:
    """Writes the file, whole or not at all."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, studies.rows, version=(1, 0), allow_pickle=False)
    write_bytes(folder / NAME, buffer.getvalue())


def read_studies(folder: Path) -> Studies | None:
    """Reads the file of a run or an export; None where there is none.

    Raises:
        StudiesError: It is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        rows = np.load(path, allow_pickle=False)
    except (EOFError, ValueError, OSError) as error:
        raise _damaged(path) from error
    key = rows.dtype.fields and rows.dtype.fields.get("key")
    if rows.ndim != 1 or not key or rows.dtype != _type(key[0].itemsize):
        raise _damaged(path)
    return Studies(rows)


def _damaged(path: Path) -> StudiesError:
    return StudiesError(
        f"{path}: damaged, so nobody can tell what the model has learned from. Remedy: copy it again, or export again."
    )


def _type(width: int) -> np.dtype[np.void]:
    return np.dtype([("key", f"S{width}"), ("look", "<u8", (len(NOTHING),))])
