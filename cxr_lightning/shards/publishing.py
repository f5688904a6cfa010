"""A set of shards gets its name, at once and whole; what a kill leaves of that moment the next run ends."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cxr_lightning.durable import own, sync, write_text, written
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.belongings import OLD, PACKED, PUBLISHED, SKIPPED, refuse_other_sets
from cxr_lightning.shards.contract import INDEX_NAME

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pack is asked for.

    Attributes:
        command: Digest of the options that decide what is made.
        stamp: Of the tables as they are.
        overwrite: Whether OUT, or what another command left, may be replaced.
        together: Whether it is a part of several, which may work at the same time.
        array: The Slurm array that it belongs to; empty if to none.
    """

    command: str
    stamp: str
    overwrite: bool = False
    together: bool = False
    array: str = ""


@dataclass(frozen=True, slots=True)
class _Note:
    """Which set OUT is, once it has this fingerprint."""

    command: str
    stamp: str
    fingerprint: str
    array: str
    together: bool


class Name:
    """OUT, and what is noted of it.

    Args:
        out: The folder of shards, there or not.
        folder: The one in which they are made.
    """

    def __init__(self, out: Path, folder: Path) -> None:
        self._out, self._folder = out, folder
        self._beside = out.with_name(f".{out.name}.{PACKED}")

    @property
    def skipped(self) -> Path:
        """The list of what was left out; it is there if anything was."""
        return self._out.with_name(f"{self._out.name}.skipped.jsonl")

    def refuse(self, asked: Asked) -> None:
        """Refuses what may not be replaced.

        Args:
            asked: What is asked for.

        Raises:
            ValueError: OUT is a file, a mount, or holds what may not go.
        """
        if self._out.exists() and not self._out.is_dir():
            raise ValueError(f"{self._out}: is a file; give a folder")
        if os.path.ismount(self._out):
            raise ValueError(f"{self._out}: is where a disk is mounted, and cannot be given its content by a rename; "
                             "name a folder in it")  # fmt: skip
        if self._out.is_dir() and any(self._out.iterdir()):
            if not asked.overwrite:
                raise ValueError(f"{self._out}: is not empty; give another folder, or --overwrite true to replace it")
            refuse_other_sets(self._out)

    def is_finished(self, asked: Asked) -> bool:
        """Tells whether parts of this command have made OUT already.

        Args:
            asked: What is asked for. To overwrite, only what this very array has made counts.

        Raises:
            ValueError: They have, from tables that were others.
        """
        note = _read(self._beside)
        if not asked.together or note is None or (note.command, note.fingerprint) != (asked.command, self._index()):
            return False
        if note.stamp == asked.stamp and (not asked.overwrite or note.array == asked.array):
            return True
        if not asked.overwrite:
            raise ValueError(
                f"{self._out}: was finished already, from tables or summaries that have changed since. Remedy: give "
                "--overwrite true to make it anew, or another folder"
            )
        return False

    def restore(self) -> None:
        """Gives OUT back what it was, where a run was killed between taking it away and putting shards there."""
        for old in self._folder.glob(f"{OLD}.*"):
            with contextlib.suppress(OSError):  # another part did
                if not self._out.exists():
                    old.rename(self._out)

    def is_published(self, command: str) -> bool:
        """Tells whether a run of this command gave OUT its name, and was killed before it had cleared up."""
        note = _read(self._folder / PUBLISHED)
        return note is not None and (note.command, note.fingerprint) == (command, self._index())

    def publish(self, joined: Path, fingerprint: str, left_out: Sequence[Flaw], asked: Asked) -> None:
        """Gives joined shards their name; what had it before is whole until then.

        Args:
            joined: The folder with all shards and their index.
            fingerprint: Of the index.
            left_out: What is to be listed beside OUT.
            asked: What was asked for.

        Raises:
            ValueError: Something came into OUT in the meantime.
        """
        with written(self._folder / SKIPPED, 0o600) as lines:
            for flaw in left_out:
                lines.write(json.dumps({"kind": flaw.kind, "where": flaw.where, "reason": flaw.reason}) + "\n")
        # With this note, an OUT of this fingerprint is known to be finished, but for what `settle` does.
        note = _Note(asked.command, asked.stamp, fingerprint, asked.array, asked.together)
        write_text(self._folder / PUBLISHED, json.dumps(asdict(note)))
        sync(self._folder)
        for number in range(_TRIES):
            if self._index() == fingerprint:
                break  # or another process was faster
            if self._out.is_dir():
                self.refuse(asked)
                self._out.rename(self._folder / f"{OLD}.{number}.{own()}")
            try:
                joined.rename(self._out)
            except OSError:
                if not self._out.is_dir() or number + 1 == _TRIES:
                    raise
        sync(self._out.parent)
        self.settle()

    def settle(self) -> None:
        """Puts beside OUT what belongs there; done twice, it is as done once."""
        listed = self._folder / SKIPPED
        with contextlib.suppress(FileNotFoundError):  # done before
            if listed.stat().st_size:
                listed.replace(self.skipped)
            else:
                self.skipped.unlink(missing_ok=True)
                listed.unlink()
        note = _read(self._folder / PUBLISHED)
        if note is not None and note.together:
            write_text(self._folder / PACKED, json.dumps(asdict(note)))
            (self._folder / PACKED).replace(self._beside)
        elif note is not None and _read(self._beside) is not None:
            self._beside.unlink()
        sync(self._out.parent)

    def _index(self) -> str | None:
        """Reads OUT's fingerprint; None where OUT is no folder of shards."""
        try:
            return str(json.loads((self._out / INDEX_NAME).read_text())["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _read(file: Path) -> _Note | None:
    try:
        return _Note(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
