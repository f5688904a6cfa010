"""How a download goes: a bar with rate and time left where somebody looks, now and then a line where it is a log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cxr_lightning.download.listing import Item

log = logging.getLogger(__name__)
_EVERY = 60.0
"""Seconds between lines of a log."""


class Watch:
    """Counts bytes and files, from many threads.

    Args:
        items: What is fetched.
        guess: Says about how large a file is; what it really was takes the guess's place.
        progress: The bar; none where nobody looks.
    """

    def __init__(self, items: Sequence[Item], guess: Callable[[str], int], progress: Progress | None = None) -> None:
        self._guess, self._progress = guess, progress
        self.files, self.settled, self.received = len(items), 0, 0
        self.total = sum(guess(item.name) for item in items)
        self._done = 0
        self._lock = threading.Lock()
        self._begun = self._spoken = time.monotonic()
        self._task = progress.add_task("", total=self.total, files="") if progress else None

    @property
    def left(self) -> int:
        """About how many bytes lack yet."""
        return max(0, self.total - max(self._done, self.received))

    def receive(self, count: int) -> None:
        """Counts bytes that came."""
        with self._lock:
            self.received += count
            self._show()

    def settle(self, item: Item, size: int) -> None:
        """Counts a file that is done with.

        Args:
            item: The file.
            size: How large it is; 0 if it was lost.
        """
        with self._lock:
            self.settled += 1
            self.total += size - self._guess(item.name)
            self._done += size
            self._show()

    def _show(self) -> None:
        if self._progress and self._task is not None:
            done = min(max(self._done, self.received), self.total)
            self._progress.update(
                self._task, completed=done, total=self.total, files=f"{self.settled:,} of {self.files:,} files"
            )
        elif time.monotonic() - self._spoken > _EVERY:
            self._spoken = time.monotonic()
            done = max(self._done, self.received)
            rate = done / (self._spoken - self._begun)
            hours = self.left / max(rate, 1.0) / 3600
            log.info(
                "%s of %s files, %.1f of about %.1f GB, %.1f MB/s, about %.1f hours left",
                f"{self.settled:,}", f"{self.files:,}", done / 1e9, self.total / 1e9, rate / 1e6, hours,
            )  # fmt: skip


@contextmanager
def watched(items: Sequence[Item], guess: Callable[[str], int], console: Console) -> Iterator[Watch]:
    """Shows how it goes, as long as it goes.

    Args:
        items: What is fetched.
        guess: Says about how large a file is.
        console: Where it is shown.
    """
    if not console.is_terminal:
        yield Watch(items, guess)
        return
    columns = (TextColumn("{task.fields[files]}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True), console=console) as progress:
        yield Watch(items, guess, progress)
