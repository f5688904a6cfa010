"""Writing a checkpoint together: every rank its files, aside; the name only once all of them are there.

The same steps run at once or in a thread behind the training (`background`). What is written was copied before, so
training may go on; the ranks meet in a process group of their own, for two threads may not share one. An error of one
rank is an error of all, so none waits for a rank that gave up.
"""

from __future__ import annotations

import logging
import shutil
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

    def write(self, final: Path, files: Files, after: Callable[[], None]) -> None:
        """Writes a checkpoint, or begins to.

        Args:
            final: The checkpoint's folder; it appears complete or not at all.
            files: This rank's files.
            after: What rank 0 does once the checkpoint is there.

        Raises:
            CheckpointNotWrittenError: If this checkpoint, or the one before it in the background, failed on any rank.
        """
        self.wait()
        if not self.background:
            self._write(final, files, after)
            return
        # A daemon: should the process have to end while a rank is lost, nothing waits for the unfinished folder.
        self._thread = threading.Thread(target=self._guarded, args=(final, files, after), daemon=True)
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

    def _guarded(self, final: Path, files: Files, after: Callable[[], None]) -> None:
        try:
            self._write(final, files, after)
        except BaseException as error:  # handed to the training thread, which asks before the next checkpoint
            told = error if isinstance(error, CheckpointNotWrittenError) else _not_written(f"{error}")
            self._error = told

    def _write(self, final: Path, files: Files, after: Callable[[], None]) -> None:
        partial = final.with_name(final.name + ".partial")
        try:
            self.agree(lambda: _empty(partial) if self.rank == 0 else None)
            entries = gather(self.agree(lambda: _write_files(partial, files)), self._group)
            self.agree(lambda: _finish(partial, final, entries, after) if self.rank == 0 else None)
        except CheckpointNotWrittenError:
            if self.rank == 0:
                shutil.rmtree(partial, ignore_errors=True)  # a full disk should not stay full of half a checkpoint
            raise

    def agree(self, action: Callable[[], _Result]) -> _Result:
        """Does something on every rank and returns this rank's result; what failed on one fails on each.

        Raises:
            CheckpointNotWrittenError: If it failed on any rank.
        """
        result, failure = None, ""
        try:
            result = action()
        except Exception as error:
            failure = f"rank {self.rank}: {type(error).__name__}: {error}"
        failures = [each for each in gather(failure, self._group) if each]
        if failures:
            raise _not_written("; ".join(failures))
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


def _not_written(why: str) -> CheckpointNotWrittenError:
    return CheckpointNotWrittenError(
        f"The checkpoint was not written ({why}). Earlier ones are as they were. "
        "Remedy: make room or mend the file system, then go on with --ckpt_path last."
    )


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
