"""Where an export is written: beside its place until it is complete, and never over anything that must not go."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cxr_lightning.checkpoint.publish import sync_all
from cxr_lightning.cluster.units import size
from cxr_lightning.durable import sync

PROVENANCE = "provenance.json"
_MARK = ".being-exported"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class ExportExistsError(ValueError):
    """The output folder holds something already, or nothing can be written there."""


class NoRoomError(ValueError):
    """The disk cannot hold the export."""


def require_free(out: Path, *, overwrite: bool, needed: Sequence[str | None] = ()) -> None:
    """Refuses to write where something is that must not go.

    Args:
        out: Where an export shall be, links resolved.
        overwrite: Whether an earlier one may go.
        needed: Folders or names of models that the run is built on; what is no path is passed over.

    Raises:
        ExportExistsError: If there is an export and it shall not be replaced, or anything else, or no folder can be.
    """
    above = next(parent for parent in out.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ExportExistsError(f"{out}: nothing can be written in {above}. Remedy: name another --out.")
    if not out.exists():
        return
    if not overwrite:
        raise ExportExistsError(f"{out} exists. Remedy: add --overwrite true, or name another --out.")
    config = any((out / name).is_file() for name in ("config.json", "adapter_config.json"))
    if not ((out / PROVENANCE).is_file() and config):
        raise ExportExistsError(f"{out} is no earlier export and will not be replaced. Remedy: name another --out.")
    for name in needed:
        path = Path(name).resolve() if name else None
        if path is not None and (path == out or out in path.parents):
            raise ExportExistsError(
                f"{out} is what the run was built on ({name}): without it nothing of the run can be resumed or "
                "exported again. Remedy: name another --out."
            )


@contextmanager
def aside(out: Path) -> Iterator[Path]:
    """Lends a folder beside the one to be written, and leaves nothing of it, whatever happens.

    Args:
        out: The folder to be written.

    Raises:
        ExportExistsError: If another export writes there at this moment.
        NoRoomError: If the disk was full.
    """
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportExistsError(f"{out}: {error.strerror}. Remedy: name another --out.") from error
    try:
        with _alone(out):
            _sweep(out)
            partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
            try:
                partial.mkdir()
                (partial / _MARK).touch()
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoomError(
            f"{out.parent}: {error.strerror}. Nothing was kept. Remedy: make room, or name another --out."
        ) from error
    finally:
        if not out.exists():
            for parent in made:
                with suppress(OSError):
                    parent.rmdir()


def publish(partial: Path, out: Path, *, overwrite: bool) -> None:
    """Gives a proven folder its name; an earlier export that had it goes only afterwards.

    Args:
        partial: The folder that `aside` lent.
        out: Its name.
        overwrite: Whether an earlier export may go.

    Raises:
        ExportExistsError: If something has come to be there meanwhile.
    """
    (partial / _MARK).unlink()
    sync_all(partial)
    require_free(out, overwrite=overwrite)
    earlier = partial.with_suffix(".earlier")
    replaced = out.exists()
    if replaced:
        out.rename(earlier)
    try:
        if not replaced:
            out.mkdir()  # fails if another was quicker; a folder may be renamed onto an empty one
        partial.rename(out)
    except OSError:
        if replaced:
            earlier.rename(out)
        raise
    sync(out.parent)
    if replaced:
        shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = out.with_name(f".{out.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino != lock.stat().st_ino:
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise ExportExistsError(
                f"{out}: another export writes there at this moment. Remedy: wait for it, or name another --out."
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _sweep(out: Path) -> None:
    """Deletes what killed exports left; who else writes there is locked out, and what has no mark is someone's own."""
    for path in out.parent.glob(f".{out.name}.*.earlier"):
        if not out.exists():
            path.rename(out)  # killed between two renames: it is the export still
    for path in out.parent.glob(f".{out.name}.*.partial"):
        if (path / _MARK).is_file():
            shutil.rmtree(path, ignore_errors=True)


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
            f"{folder.parent}: the weights take {size(needed)}, and {size(free)} are free. "
            "Remedy: make room, or name another --out."
        )


def parse_size(text: str) -> int:
    """Returns the bytes that a size such as 5GB stands for.

    Raises:
        ValueError: If it is none.
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([KMGT]?)B?", text.strip().upper())
    count = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if count < 1:
        raise ValueError(f"--max_shard_size={text}: not a size. Remedy: write it like 500MB or 5GB.")
    return count
