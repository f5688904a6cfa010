"""Many files at once: items enter, threads fetch them, a tally of what came and what did not leaves.

What fails for one file is noted and the next is taken; what would fail for all ends all: a full disk, a password that
is no longer taken, or too many losses in a row.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cxr_lightning.download.catalogue import Kind
from cxr_lightning.download.fetching import FULL, Fetching, damage, full_disk
from cxr_lightning.download.listing import Item
from cxr_lightning.download.manifest import Held, Manifest, size_of
from cxr_lightning.download.partial import sha256_of
from cxr_lightning.download.progress import Watch
from cxr_lightning.download.trouble import DownloadError, LostError, NotLetInError, StoppedError

IN_A_ROW = 20
"""Losses in a row after which nobody believes in the next file."""

_LAST_WORDS = 5.0


@dataclass
class Tally:
    """What became of the files.

    Attributes:
        had: How many of each kind stood there already.
        came: How many of each kind were fetched.
        lost: Name and reason of each that was not.
        bytes: Bytes received, those included that were of no use.
        seconds: How long it took.
    """

    had: Counter[Kind] = field(default_factory=Counter)
    came: Counter[Kind] = field(default_factory=Counter)
    lost: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0


class Crew:
    """Threads that fetch.

    Args:
        fetching: How a file is fetched.
        manifest: What stands there already.
        stop: Ends all when set.
    """

    def __init__(self, fetching: Fetching, manifest: Manifest, stop: threading.Event) -> None:
        self._fetching, self._manifest, self._stop = fetching, manifest, stop
        self.tally = Tally()
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._end: BaseException | None = None

    def lacking(self, items: Sequence[Item], *, verify: bool) -> list[Item]:
        """Returns the items that must be looked at or fetched; the others are counted as had.

        Args:
            items: What is wanted.
            verify: Whether all that stands there is to be read again.
        """
        lacking = []
        for item in items:
            if not verify and self._manifest.holds(item.name, item.sha256):
                self.tally.had[item.kind] += 1
            else:
                lacking.append(item)
        return lacking

    def fetch(self, items: Sequence[Item], parallel: int, watch: Watch) -> None:
        """Fetches items.

        Args:
            items: What lacks.
            parallel: How many at once.
            watch: Told how it goes.

        Raises:
            DownloadError: All was ended.
            NotLetInError: The server does not let us in, or not any more.
        """
        begun, queue = time.monotonic(), iter(items)
        threads = [
            threading.Thread(target=self._work, args=(queue, watch), daemon=True)
            for _ in range(min(parallel, len(items)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        finally:  # Ctrl-C too: what came is kept, and no thread writes on
            self._stop.set()
            until = time.monotonic() + _LAST_WORDS
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            self.tally.bytes, self.tally.seconds = watch.received, time.monotonic() - begun
        if self._end:
            raise self._end

    def _work(self, queue: Iterator[Item], watch: Watch) -> None:
        while not self._stop.is_set():
            with self._lock:
                item = next(queue, None)
            if item is None:
                return
            try:
                self._one(item, watch)
            except StoppedError:
                return
            except BaseException as error:  # of whatever kind: who waits must hear of it
                self._stop_all(error, watch)

    def _one(self, item: Item, watch: Watch) -> None:
        try:
            if held := self._found(item):
                if self._manifest.of(item.name) != held:
                    self._manifest.add(held)
                self._count(item, held, watch, had=True)
                return
            held = self._fetching.fetch(item, watch.receive, self._manifest.add)
            self._count(item, held, watch)
        except LostError as error:
            self._lose(item, str(error), watch)
        except NotLetInError as error:
            if error.status != 403 or not self.tally.came:
                raise  # not of this file, but of all
            self._lose(item, "access refused (403)", watch)
        except OSError as error:
            if error.errno in FULL:
                raise
            self._lose(item, error.strerror or type(error).__name__, watch)

    def _found(self, item: Item) -> Held | None:
        """Returns a file that stands there and is what it should be, whoever brought it."""
        target = self._fetching.place.target(item.name)
        size = size_of(target)
        if size is None:
            return None
        known = self._manifest.of(item.name)
        sha256 = sha256_of(target)
        wanted = item.sha256 or (known.sha256 if known and known.bytes == size else "")
        right = sha256 == wanted if wanted else not damage(target, item.name)
        return Held(item.name, size, sha256) if right else None

    def _count(self, item: Item, held: Held, watch: Watch, *, had: bool = False) -> None:
        with self._lock:
            self._in_a_row = 0
            (self.tally.had if had else self.tally.came)[item.kind] += 1
        watch.settle(item, held.bytes)

    def _lose(self, item: Item, why: str, watch: Watch) -> None:
        with self._lock:
            self.tally.lost[item.name] = why
            self._in_a_row += 1
            hopeless = self._in_a_row >= IN_A_ROW
        watch.settle(item, 0)
        if hopeless:
            raise DownloadError(f"{IN_A_ROW} files in a row were not to be had, the last of them: {why}")

    def _stop_all(self, error: BaseException, watch: Watch) -> None:
        with self._lock:
            if self._end is None:
                full = isinstance(error, OSError) and error.errno in FULL
                self._end = full_disk(error, self._fetching.place.out, watch.left) if full else error  # type: ignore[arg-type]
        self._stop.set()
