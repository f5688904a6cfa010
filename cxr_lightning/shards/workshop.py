"""The folder in which shards are made before they have their name; what a kill leaves there, the same command takes up.

`OUT.partial/` holds the plan and `made/`: tars, and beside each, written last, what is known of it, with digests of the
texts and files it was made from, so that a shard counts as made only while these are what they were. Once all are made
they are joined in a folder that becomes OUT by a rename. Every file is whole or not there and the same whoever makes
it, so processes on one machine or on many may work here at once, with locks or without.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cxr_lightning.durable import sync, write_bytes, write_text
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.contract import INDEX_NAME, ROWS_NAME
from cxr_lightning.shards.plan import ORDER, PLAN, STUDIES, Inputs, Plan, PlannedShard, command_of, read_plan
from cxr_lightning.shards.rows import Rows, ShardRows

MADE, JOINED, LOCK, PUBLISHED, REFUSED, DONE = "made", "joined", "lock", "published", "refused", "packed"
_OURS = (PLAN, STUDIES, ORDER, MADE, JOINED, LOCK, PUBLISHED, REFUSED)


@dataclass(frozen=True, slots=True)
class Made:
    """A shard that is made.

    Attributes:
        shard: The tar with its rows.
        numbers: The places of its samples' studies in the plan.
        films: Digests of their images.
        flaws: What was left out of it.
        identifiers: How many samples hold each kind of word that may name someone.
        by_rule: How many samples' summaries rules wrote.
        inputs: What it was made from.
    """

    shard: ShardRows
    numbers: tuple[int, ...]
    films: tuple[tuple[str, ...], ...]
    flaws: tuple[Flaw, ...]
    identifiers: Counter[str]
    by_rule: int
    inputs: Inputs


class Workshop:
    """The folder beside OUT in which it is made.

    Args:
        out: The folder to make.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.resolve()
        self.folder = self.out.with_name(f"{self.out.name}.partial")

    def open(self, command: str, *, overwrite: bool, together: bool) -> bool:
        """Makes ready to plan or to go on.

        Args:
            command: Digest of what is asked for.
            overwrite: Whether OUT, or what another command left, may be replaced.
            together: Whether others may work here at the same time: then nothing is cleared away under them.

        Returns:
            Whether OUT is finished already, and only its workshop was left by a kill in the last moment.

        Raises:
            ValueError: OUT holds something that may not be replaced, or another command is making it.
        """
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"{self.out}: is a file; give a folder")
        if os.path.ismount(self.out):
            raise ValueError(f"{self.out}: is where a disk is mounted, and cannot be given its content by a rename; "
                             "name a folder in it")  # fmt: skip
        mine = command_of(self.folder) == command
        if (mine and self._is_published()) or (together and self._note() == command and self._index() is not None):
            if mine:
                self._clear()
            return True
        if self.out.is_dir() and any(self.out.iterdir()):
            if not overwrite:
                raise ValueError(f"{self.out}: is not empty; give another folder, or --overwrite true to replace it")
            _refuse_strangers(self.out)
        if not mine and self.folder.is_dir() and any(self.folder.iterdir()):
            self._take_over(replace=overwrite and not together)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # reports as they came
        (self.folder / MADE).mkdir(exist_ok=True)
        if not together:
            self._sweep()
        return False

    def _take_over(self, *, replace: bool) -> None:
        _refuse_strangers(self.folder)
        if command_of(self.folder) is None:
            return  # killed before there was a plan
        if not replace:
            raise ValueError(
                f"{self.folder}: is there already, left by another command (other options), or being written by it. "
                "Give that command again to go on with it; or remove it (alone, without --part: --overwrite true) to "
                "begin anew"
            )
        shutil.rmtree(self.folder)

    def _sweep(self) -> None:
        """Removes what killed runs left unfinished: copies of reports among it."""
        for name in (STUDIES, ORDER):
            for left in self.folder.glob(f"{name}.*"):
                left.unlink(missing_ok=True)
        for left in self.folder.glob(f"{JOINED}.*"):
            shutil.rmtree(left, ignore_errors=True)

    def plan_of(self, command: str, stamp: str) -> Plan | None:
        """Takes up a plan that another part has made.

        Args:
            command: Digest of what is asked for.
            stamp: Of the tables as they are now.

        Returns:
            The plan; None where there is none, its tables have changed, or what was planned was refused.
        """
        refused = (self.folder / REFUSED).exists()
        (self.folder / REFUSED).unlink(missing_ok=True)
        if refused or command_of(self.folder) != command:
            return None
        plan = read_plan(self.folder)
        return plan if plan.stamp == stamp else None

    def refuse(self) -> None:
        """Notes that what was planned cannot be packed: the next to come plans anew, for it may have been mended."""
        if self.folder.is_dir():
            (self.folder / REFUSED).touch()

    def keep(self, made: Made) -> None:
        """Notes that a shard is made.

        Args:
            made: The shard, whose tar is in `made`.
        """
        stem = self.folder / MADE / made.shard.name
        ((_, rows),) = made.shard.rows.items()
        own = stem.with_suffix(f".npy.{os.uname().nodename}.{os.getpid()}")
        with own.open("wb") as file:
            np.lib.format.write_array(file, rows, version=(1, 0), allow_pickle=False)
            os.fsync(file.fileno())
        own.replace(stem.with_suffix(".npy"))
        table = {
            "bytes": made.shard.bytes,
            "sha256": made.shard.sha256,
            "numbers": made.numbers,
            "films": made.films,
            "flaws": [asdict(flaw) for flaw in made.flaws],
            "identifiers": made.identifiers,
            "by_rule": made.by_rule,
            "inputs": made.inputs,
        }
        write_bytes(stem.with_suffix(".json"), json.dumps(table).encode())
        sync(stem.parent)

    def made(self, planned: PlannedShard, inputs: Inputs) -> Made | None:
        """Reads what is known of a shard.

        Args:
            planned: The shard.
            inputs: What it would be made from now.

        Returns:
            The shard, or None where it is not made, was made from something else, or its tar is not what was written.
        """
        stem = self.folder / MADE / planned.name
        try:
            table = json.loads(stem.with_suffix(".json").read_text())
            with stem.with_suffix(".npy").open("rb") as file:
                rows: Rows = np.lib.format.read_array(file, allow_pickle=False)
            if Inputs(*table["inputs"]) != inputs or (len(rows) and stem.stat().st_size != table["bytes"]):
                return None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return Made(
            shard=ShardRows(planned.name, table["bytes"], table["sha256"], {planned.split: rows}),
            numbers=tuple(table["numbers"]),
            films=tuple(map(tuple, table["films"])),
            flaws=tuple(Flaw(**flaw) for flaw in table["flaws"]),
            identifiers=Counter(table["identifiers"]),
            by_rule=table["by_rule"],
            inputs=inputs,
        )

    @contextmanager
    def alone(self, *, wait: bool) -> Iterator[None]:
        """Keeps other processes out, where the file system has locks; where it has not, they do work twice.

        Args:
            wait: Whether to wait for another one, or to refuse to work beside it.

        Raises:
            ValueError: Another process works here.
        """
        with contextlib.ExitStack() as opened:
            with contextlib.suppress(FileNotFoundError):  # another one has finished and cleared it
                lock = opened.enter_context((self.folder / LOCK).open("wb"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                except BlockingIOError:
                    raise ValueError(
                        f"{self.folder}: another process is packing it. Remedy: wait for it, or end it first"
                    ) from None
                except OSError:
                    pass
            yield

    def is_open(self) -> bool:
        """Tells whether there is still something to join."""
        return (self.folder / MADE).is_dir()

    @contextmanager
    def joining(self) -> Iterator[Path]:
        """Gives a folder of this process's own to join shards in; what is left of it is removed."""
        own = self.folder / f"{JOINED}.{os.uname().nodename}.{os.getpid()}"
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def publish(self, joined: Path, fingerprint: str, command: str | None) -> None:
        """Gives joined shards their name; what had it before is whole until then, and goes.

        Args:
            joined: The folder with all shards and their index.
            fingerprint: Of the index.
            command: Digest to be noted beside OUT, where parts of the same array may still begin.
        """
        # With this note, an OUT of this fingerprint is known to be finished.
        write_text(self.folder / PUBLISHED, fingerprint)
        if self._index() != fingerprint:  # else another process was faster
            if self.out.is_dir():
                self.out.rename(self.out.with_name(f".{self.out.name}.{os.getpid()}.old"))
            joined.rename(self.out)
            sync(self.out.parent)
        if command is not None:
            write_text(self._noted(), command)
        for old in self.out.parent.glob(f".{glob.escape(self.out.name)}.*.old"):  # of killed runs, too
            shutil.rmtree(old, ignore_errors=True)
        self._clear()

    def forget(self, least: int) -> bool:
        """Removes the workshop, unless a shard is made that was worth the time.

        Args:
            least: Samples of a shard that is worth keeping.

        Returns:
            Whether it was removed.
        """
        for notes in (self.folder / MADE).glob("*.json"):
            if len(json.loads(notes.read_text())["numbers"]) >= least:
                return False
        self._clear()
        return True

    def _is_published(self) -> bool:
        try:
            return (self.folder / PUBLISHED).read_text() == self._index()
        except FileNotFoundError:
            return False

    def _index(self) -> str | None:
        """Reads OUT's fingerprint; None where OUT is no folder of shards."""
        try:
            return str(json.loads((self.out / INDEX_NAME).read_text())["fingerprint"])
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def _noted(self) -> Path:
        return self.out.with_name(f".{self.out.name}.{DONE}")

    def _note(self) -> str | None:
        try:
            return self._noted().read_text()
        except FileNotFoundError:
            return None

    def _clear(self) -> None:
        """Removes the workshop; the plan goes last, since it tells a later run what was being made."""
        shutil.rmtree(self.folder / MADE, ignore_errors=True)
        (self.folder / STUDIES).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _refuse_strangers(folder: Path) -> None:
    """Refuse to replace a folder with anything in it that packing does not make: a slip of the hand costs no data."""
    for path in sorted(folder.iterdir()):
        ours = path.suffix == ".tar" or path.name.startswith((INDEX_NAME, ROWS_NAME, *_OURS))
        if not ours:
            raise ValueError(
                f"{folder}: holds '{path.name}', which no shard is; --overwrite replaces folders of shards only"
            )
