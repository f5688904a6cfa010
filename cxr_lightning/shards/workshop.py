"""The folder in which shards are made before they have their name; what a kill leaves there, the same command takes up.

`OUT.partial/` holds the plan and `made/`: tars, and beside each, written last, what is known of it, with digests of the
texts and files it was made from, so that a shard counts as made only while these are what they were. Once all are made
they are joined in a folder that becomes OUT by a rename. Every file is whole or not there and the same whoever makes
it, so processes on one machine or on many may work here at once, with locks or without.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cxr_lightning.durable import own, sync, write_bytes
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.belongings import JOINED, MADE, PARTIAL, PUBLISHED, REFUSED, refuse_strangers, remove
from cxr_lightning.shards.locking import JOINING, LOCK, Locks
from cxr_lightning.shards.plan import ORDER, STUDIES, Inputs, Plan, PlannedShard, command_of, read_plan
from cxr_lightning.shards.publishing import Asked, Name
from cxr_lightning.shards.rows import Rows, ShardRows

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


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
        unknown: Of how many samples' primary images nobody says how they were taken.
        inputs: What it was made from.
    """

    shard: ShardRows
    numbers: tuple[int, ...]
    films: tuple[tuple[str, ...], ...]
    flaws: tuple[Flaw, ...]
    identifiers: Counter[str]
    by_rule: int
    unknown: int
    inputs: Inputs


class Workshop:
    """The folder beside OUT in which it is made.

    Args:
        out: The folder to make.
        asked: What is asked for.
    """

    def __init__(self, out: Path, asked: Asked) -> None:
        self.out = out.resolve()
        self.folder = self.out.with_name(f"{self.out.name}.partial")
        self._asked = asked
        self._name, self._locks = Name(self.out, self.folder), Locks(self.folder)

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Keeps out, where the file system has locks, whoever would disturb; only then looks at what is there.

        Yields:
            Whether there is anything to do: OUT may be finished, with only its workshop left by a kill.

        Raises:
            ValueError: OUT holds something that may not be replaced, another command is making it, or another process
                works here.
            OSError: The place cannot be written.
        """
        if not self.folder.exists() and self._name.is_finished(self._asked):
            yield False
            return
        if self.folder.is_dir():
            refuse_strangers(self.folder, PARTIAL)
        with self._told(every=True):
            alone = self._locks.enter(together=self._asked.together)
        if not alone:
            raise ValueError(f"{self.folder}: another process is packing it. Remedy: wait for it, or end it first")
        try:
            with self._told():
                yield self._begin()
        finally:
            self._locks.leave(frozenset({MADE}))

    def _begin(self) -> bool:
        self._name.restore()
        if self._name.is_published(self._asked.command):
            self._name.settle()
            self._clear()
            return False
        if self._name.is_finished(self._asked):
            return False
        self._name.refuse(self._asked)
        left = command_of(self.folder)  # None: killed before there was a plan
        if left not in (None, self._asked.command):
            self._take_over()
        (self.folder / MADE).mkdir(parents=True, exist_ok=True)
        if not self._asked.together and self._locks.are_real:
            self._sweep()
        return True

    def _take_over(self) -> None:
        if not self._asked.overwrite or self._asked.together:
            raise ValueError(
                f"{self.folder}: is there already, left by another command (other options), or being written by it. "
                "Give that command again to go on with it; or remove it (alone, without --part: --overwrite true) to "
                "begin anew"
            )
        remove(self.folder, keep=frozenset({LOCK, JOINING}))

    def _sweep(self) -> None:
        """Removes what killed runs left unfinished: copies of reports among it."""
        for name in (STUDIES, ORDER):
            for left in self.folder.glob(f"{name}.*"):
                left.unlink(missing_ok=True)
        for left in self.folder.glob(f"{JOINED}.*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _told(self, *, every: bool = False) -> Iterator[None]:
        """Says what could not be written, and what to do; errors that say so themselves, or of other files, pass."""
        try:
            yield
        except OSError as error:
            # Of an open file the system does not say which it is; only a full disk is surely one that we write.
            file = Path(str(error.filename))
            mine = error.errno in _FULL if error.filename is None else {file, *file.parents} & {self.out, self.folder}
            if not (mine or every) or error.strerror is None or "Remedy" in error.strerror:
                raise
            told = (
                f"{error.strerror}; what is made stays. Remedy: make room there, or see who may write, then the same "
                "command goes on"
            )
            raise OSError(error.errno, told, str(error.filename or self.folder)) from error

    @contextmanager
    def planning(self) -> Iterator[Path]:
        """Gives the folder for a plan; of one that comes to no end no copy of reports is left."""
        try:
            yield self.folder
        finally:
            for name in (STUDIES, ORDER):
                (self.folder / f"{name}.{own()}").unlink(missing_ok=True)

    def plan_of(self) -> Plan | None:
        """Takes up a plan that another part has made.

        Returns:
            The plan; None where there is none, its tables have changed, or what was planned was refused.
        """
        refused = (self.folder / REFUSED).exists()
        (self.folder / REFUSED).unlink(missing_ok=True)
        if refused or command_of(self.folder) != self._asked.command:
            return None
        plan = read_plan(self.folder)
        return plan if plan.stamp == self._asked.stamp else None

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
        aside = stem.with_suffix(f".npy.{own()}")
        try:
            with aside.open("wb") as file:
                np.lib.format.write_array(file, rows, version=(1, 0), allow_pickle=False)
                os.fsync(file.fileno())
            aside.replace(stem.with_suffix(".npy"))
        finally:
            aside.unlink(missing_ok=True)
        table = {
            "bytes": made.shard.bytes,
            "sha256": made.shard.sha256,
            "numbers": made.numbers,
            "films": made.films,
            "flaws": [asdict(flaw) for flaw in made.flaws],
            "identifiers": made.identifiers,
            "by_rule": made.by_rule,
            "unknown": made.unknown,
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
            unknown=table.get("unknown", 0),
            inputs=inputs,
        )

    def is_open(self) -> bool:
        """Tells whether there is still something to join."""
        return (self.folder / MADE).is_dir()

    def is_gone(self) -> bool:
        """Tells whether another part has joined and removed all of it under this one, for there are no locks."""
        return not (self._locks.are_real or self.is_open())

    def made_of(self, plan: Plan) -> int:
        """Counts a plan's shards that somebody has made, from whatever."""
        return sum((self.folder / MADE / shard.name).with_suffix(".json").exists() for shard in plan.shards)

    @contextmanager
    def joining(self) -> Iterator[Path | None]:
        """Waits for parts that still make something, and gives a folder of this process's own to join shards in.

        Yields:
            The folder; None where another part has joined them.
        """
        if self._asked.together and not self._locks.join():
            yield None
            return
        aside = self.folder / f"{JOINED}.{own()}"
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def publish(self, joined: Path, fingerprint: str, left_out: Sequence[Flaw]) -> Path:
        """Gives joined shards their name, and removes the workshop.

        Args:
            joined: The folder with all shards and their index.
            fingerprint: Of the index.
            left_out: What is listed beside OUT.

        Returns:
            That list; it is there if anything was left out.
        """
        self._name.publish(joined, fingerprint, left_out, self._asked)
        self._clear()
        return self._name.skipped

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

    def _clear(self) -> None:
        """Removes the workshop; of a published set, what tells so goes last."""
        remove(self.folder, keep=frozenset({LOCK, JOINING, PUBLISHED}))
        (self.folder / PUBLISHED).unlink(missing_ok=True)
        self._locks.remove()
