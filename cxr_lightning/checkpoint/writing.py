"""Writing a checkpoint together: every rank its files, aside; the name only once all of them are there.

The same steps run at once or in a thread behind the training (`background`). What is written was copied before, so
training may go on; the ranks meet in a process group of their own, for two threads may not share one. An error of one
rank is an error of all, so none waits for a rank that gave up.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch.distributed as dist

from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.publish import publish

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
Files = Mapping[str, Callable[[Path], object]]
"""What a rank writes: for each file name, what writes it to a path."""


_LISTED = 2
_UNITS = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}


class CheckpointNotWrittenError(OSError):
    """A checkpoint could not be written; those before it are as they were."""


class Writer:
    """Writes checkpoints, one at a time.

    Args:
        background: Whether to write in a thread while training goes on.
        timeout: How long a rank may wait for the others.
    """

    def __init__(self, background: bool, timeout: timedelta | None = None) -> None:
        self.background = background
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        # Made by all ranks at the same place: a collective of its own.
        self._group: Any = dist.new_group(backend="gloo", timeout=timeout) if dist.is_initialized() else None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether a checkpoint was begun in the background that nobody has waited for yet."""
        return self._thread is not None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written in the background just now."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def failed(self) -> BaseException | None:
        """Why the checkpoint that was written in the background is not there; a rank may know before the others do."""
        return self._error

    def write(self, final: Path, files: Files, after: Callable[[], None], size: int = 0) -> None:
        """Writes a checkpoint, or begins to.

        Args:
            final: The checkpoint's folder; it appears complete or not at all.
            files: This rank's files.
            after: What rank 0 does once the checkpoint is there.
            size: About how many bytes this rank's files have.

        Raises:
            CheckpointNotWrittenError: If this checkpoint, or the one before it in the background, failed on any rank.
        """
        self.wait()
        if not self.background:
            self._write(final, files, after, size)
            return
        # A daemon: should the process have to end while a rank is lost, nothing waits for the unfinished folder.
        self._thread = threading.Thread(target=self._guarded, args=(final, files, after, size), daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Waits until the checkpoint that is being written is there.

        Args:
            seconds: Longest time to wait; None waits for ever.

        Raises:
            CheckpointNotWrittenError: If it failed on any rank.
        """
        if self._thread is not None:
            self._thread.join(seconds)
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            if seconds is None:  # all ranks are on their way here: one that left at once would break another's step
                gather("", self._group)
            raise error

    def _guarded(self, final: Path, files: Files, after: Callable[[], None], size: int) -> None:
        try:
            self._write(final, files, after, size)
        except BaseException as error:  # handed to the training thread, which asks before the next checkpoint
            told = error if isinstance(error, CheckpointNotWrittenError) else _not_written(final, f"{error}")
            self._error = told

    def _write(self, final: Path, files: Files, after: Callable[[], None], size: int) -> None:
        partial = final.with_name(final.name + ".partial")
        try:
            self.agree(final, lambda: _empty(partial) if self.rank == 0 else None, size)
            entries = gather(self.agree(final, lambda: _write_files(partial, files), size), self._group)
            self.agree(final, lambda: _finish(partial, final, entries, after) if self.rank == 0 else None, size)
        except CheckpointNotWrittenError:
            if self.rank == 0:
                shutil.rmtree(partial, ignore_errors=True)  # a full disk should not stay full of half a checkpoint
            raise

    def agree(self, final: Path, action: Callable[[], _Result], size: int = 0) -> _Result:
        """Does something on every rank and returns this rank's result; what failed on one fails on each.

        Args:
            final: The checkpoint that it is for.
            action: What to do.
            size: About how many bytes this rank writes.

        Raises:
            CheckpointNotWrittenError: If it failed on any rank.
        """
        result, failure = None, ""
        try:
            result = action()
        except Exception as error:
            failure = f"rank {self.rank} on {socket.gethostname()}: {error}{_room(final, error)}"
        failures = [each for each in gather(failure, self._group) if each]
        if failures:
            more = f"; and {len(failures) - _LISTED} more ranks" if len(failures) > _LISTED else ""
            raise _not_written(final, "; ".join(failures[:_LISTED]) + more, sum(gather(size, self._group)))
        return cast(_Result, result)


def gather(mine: _Result, group: Any = None) -> list[_Result]:
    """Returns what each rank has, in their order; all ranks call it together.

    Args:
        mine: What this rank has.
        group: The process group; the usual one if not given.
    """
    if not dist.is_initialized():
        return [mine]
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine, group=group)
    return everyones


def _not_written(final: Path, why: str, size: int = 0) -> CheckpointNotWrittenError:
    needed = f" of {_amount(size)}" if size else ""
    return CheckpointNotWrittenError(
        f"The checkpoint {final}{needed} was not written ({why}). Earlier ones are as they were. Remedy: make room (a "
        "lower --checkpoint.keep needs less) or mend the file system; a run that ended goes on with --ckpt_path last."
    )


def _room(final: Path, error: Exception) -> str:
    """Returns how much room there is, where that is what lacks; before half a checkpoint is deleted again."""
    told = re.search(r"\(os error (\d+)\)", str(error))  # of safetensors, whose errors are no OSError
    number = int(told[1]) if told else getattr(error, "errno", None)
    if number not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    try:
        free = shutil.disk_usage(final.parent).free
    except OSError:
        return ""
    return f"; {_amount(free)} are free there" + (", but a quota is used up" if number == errno.EDQUOT else "")


def _amount(size: int) -> str:
    unit = next((unit for unit in ("TB", "GB", "MB") if size >= _UNITS[unit]), "kB")
    return f"{size / _UNITS[unit]:,.1f} {unit}"


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write_files(folder: Path, files: Files) -> dict[str, manifest.Entry]:
    for name, write in files.items():
        write(folder / name)
    return {name: manifest.entry(folder / name) for name in files}


def _finish(partial: Path, final: Path, entries: list[dict[str, manifest.Entry]], after: Callable[[], None]) -> None:
    manifest.write(partial, {name: entry for each in entries for name, entry in each.items()})
    publish(partial, final)
    try:
        after()
    except OSError as error:  # the checkpoint is there; that an old one is too costs room, not the run
        log.warning("%s: written, but older ones could not be deleted (%s)", final, error)
