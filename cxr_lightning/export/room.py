"""Where an export is written: beside its place until it is complete, and never over anything that must not go."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_lightning.cluster.units import size

PROVENANCE = "provenance.json"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class ExportExistsError(ValueError):
    """The output folder holds something already."""


class NoRoomError(ValueError):
    """The disk cannot hold the export."""


def require_free(out: Path, *, overwrite: bool) -> None:
    """Refuses to write where something is that must not go.

    Args:
        out: Where an export shall be.
        overwrite: Whether an earlier one may go.

    Raises:
        ExportExistsError: If there is an export and it shall not be replaced, or anything else.
    """
    if not out.exists():
        return
    if not overwrite:
        raise ExportExistsError(f"{out} exists. Remedy: add --overwrite true, or name another --out.")
    config = any((out / name).is_file() for name in ("config.json", "adapter_config.json"))
    if not ((out / PROVENANCE).is_file() and config):
        raise ExportExistsError(f"{out} is no earlier export and will not be replaced. Remedy: name another --out.")


@contextmanager
def aside(out: Path) -> Iterator[Path]:
    """Lends a folder beside the one to be written, and leaves nothing of it, whatever happens.

    Args:
        out: The folder to be written.

    Raises:
        NoRoomError: If the disk was full.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoomError(
            f"{out.parent.resolve()}: {error.strerror}. Nothing was kept. Remedy: make room, or name another --out."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_room(folder: Path, needed: int) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: A folder on the disk.
        needed: Bytes to be written.

    Raises:
        NoRoomError: If fewer are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoRoomError(
            f"{folder.parent.resolve()}: the weights take {size(needed)}, and {size(free)} are free. "
            "Remedy: make room, or name another --out."
        )


def parse_size(text: str) -> int:
    """Returns the bytes that a size such as 5GB stands for.

    Raises:
        ValueError: If it is none.
    """
    found = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)B?", text.strip().upper())
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    if found is None or number <= 0:
        raise ValueError(f"--max_shard_size={text}: not a size. Remedy: write it like 500MB or 5GB.")
    return int(number * _UNITS[found[2]])
