"""One file: an item enters, the file stands in its place or the reason why not leaves.

An attempt that brought further bytes costs nothing, one that did not is waited after, longer each time; a file whose
bytes are not the published ones begins anew. It takes its place only when it is whole.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import math
import random
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxr_lightning.download.listing import OWN, Item, unsafe
from cxr_lightning.download.manifest import Held
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import DownloadError, LostError, PassingError, StoppedError

_WRONG = 3
"""How often the bytes may be others than published before the file counts as lost."""

_BLOCK = 1 << 20
log = logging.getLogger(__name__)
FIRST_WAIT, _LONGEST = 0.5, 60.0
"""Seconds to wait after a failure; each further one has twice as long a wait."""

_LONG = 10.0

_CHANCE = random.SystemRandom()
FULL = (errno.ENOSPC, errno.EDQUOT)


class Carrier(Protocol):
    """What brings bytes: `Web` or `Wget`."""

    def carry(self, url: str, partial: Partial, told: Callable[[int], None]) -> None:
        """Brings the rest of a file, or raises what trouble there is."""


class Gate:
    """Where all wait when the server says that it is busy.

    Args:
        stop: Set when all shall end.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._until, self._told = 0.0, -math.inf

    def wait(self, until: float = 0.0) -> None:
        """Waits until the server may be asked again.

        Args:
            until: A time of one's own, by the monotonic clock.

        Raises:
            StoppedError: All shall end.
        """
        while True:
            left = max(self._until, until) - time.monotonic()
            if self._stop.wait(max(0.0, min(left, 1.0))):
                raise StoppedError
            if left <= 0:
                return

    def after(self, trouble: PassingError, attempt: int) -> float:
        """Returns when to try again, and has all wait if the server is busy."""
        doubled = min(_LONGEST, FIRST_WAIT * 2**attempt) * (0.5 + _CHANCE.random() / 2)
        until = time.monotonic() + (doubled if trouble.wait is None else trouble.wait)
        if trouble.busy:
            if trouble.wait and trouble.wait > _LONG and until > self._until + _LONG:
                log.info("The server is busy and asks for %.0f seconds of patience.", trouble.wait)
            self._until = max(self._until, until)
        if attempt > 1 and time.monotonic() > self._told + _LONG:  # one failure is nothing to speak of
            self._told = time.monotonic()
            log.info("%s; trying again (attempt %s).", trouble, attempt + 1)
        return until


@dataclass(frozen=True)
class Place:
    """Where files go.

    Attributes:
        out: The folder.
        mode: Who may read a file, but for those that nobody else may.
    """

    out: Path
    mode: int = 0o644

    def target(self, name: str) -> Path:
        """Returns where a file goes.

        Raises:
            LostError: That is not in the folder: a link leads out of it.
        """
        target = self.out / name
        if unsafe(name) or not target.parent.resolve().is_relative_to(self.out.resolve()):
            raise LostError(f"it would lie outside {self.out}: a link leads there. Remedy: make --out itself the link")
        return target

    def partial(self, name: str) -> Path:
        """Returns where the file lies until it is whole."""
        return self.out / OWN / "partial" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.partial"


@dataclass(frozen=True)
class Fetching:
    """How files are fetched.

    Attributes:
        carrier: What brings bytes.
        place: Where they go.
        gate: Where all wait.
        attempts: Attempts in a row that may bring nothing.
    """

    carrier: Carrier
    place: Place
    gate: Gate
    attempts: int

    def fetch(self, item: Item, told: Callable[[int], None], whole: Callable[[Held], None]) -> Held:
        """Fetches a file.

        Args:
            item: The file.
            told: Called with each number of bytes that came.
            whole: Called when it is, before it takes its place.

        Returns:
            What stands there now.

        Raises:
            LostError: It cannot be had.
            StoppedError: All shall end.
        """
        target = self.place.target(item.name)
        partial = Partial(self.place.partial(item.name))
        self.bring(item.url, partial, told, lambda: _flaw(item, partial))
        held = Held(item.name, partial.size, partial.sha256())
        whole(held)
        partial.become(target, 0o600 if item.secret else self.place.mode)
        return held

    def bring(self, url: str, partial: Partial, told: Callable[[int], None], flaw: Callable[[], str]) -> None:
        """Brings all of a file to where it lies until it takes its place.

        Args:
            url: Its address.
            partial: What came so far.
            told: Called with each number of bytes that came.
            flaw: Says what is wrong with it once all came; empty if nothing is.

        Raises:
            LostError: It cannot be had.
            StoppedError: All shall end.
        """
        in_vain = wrong = 0
        while True:
            most = partial.most
            try:
                self.gate.wait()
                self.carrier.carry(url, partial, told)
            except PassingError as error:
                in_vain = 0 if partial.most > most else in_vain + 1
                trouble = error
            else:
                why = flaw()
                if not why:
                    return
                partial.restart()
                wrong, trouble = wrong + 1, PassingError(why)
            if in_vain >= self.attempts or wrong >= _WRONG:
                raise LostError(f"{trouble}, {max(in_vain, wrong)} times") from trouble
            self.gate.wait(self.gate.after(trouble, in_vain + wrong))


def _flaw(item: Item, partial: Partial) -> str:
    if not item.sha256:
        return damage(partial.file, item.name)
    return "" if partial.sha256() == item.sha256 else "its bytes are not those published (another checksum)"


def damage(file: Path, name: str) -> str:
    """Says what is wrong with a file whose checksum nobody published; empty if it seems whole.

    Args:
        file: The file.
        name: What it is called; of what ends in .tgz or .gz the archive's own checksum is looked at.
    """
    if not name.endswith((".tgz", ".gz")):
        return "" if file.stat().st_size else "it is empty"
    try:
        with gzip.open(file) as content:
            while content.read(_BLOCK):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"it is no whole gzip archive ({type(error).__name__})"
    return ""


def full_disk(error: OSError, out: Path, left: int) -> DownloadError:
    """Returns what to tell when the disk is full.

    Args:
        error: What the system said.
        out: The folder.
        left: About how many bytes lack yet.
    """
    return DownloadError(
        f"{out}: {error.strerror}; about {left / 1e9:.1f} GB lack yet. What came is kept. Remedy: make room or choose "
        "less (--only, --limit), then the same command again"
    )
