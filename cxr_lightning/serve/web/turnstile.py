"""Who asks first is answered first: a fair queue in front of a model, in which everyone sees their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Lets a few in at a time, in the order they came.

    Args:
        places: How many may be inside at once.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._line: list[object] = []  # those inside first, then those who wait
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, ticket: object, given_up: threading.Event) -> Iterator[bool]:
        """Waits for one's turn.

        Args:
            ticket: Stands for who waits.
            given_up: Set by whoever no longer wants the turn.

        Yields:
            Whether the turn came; False if it was given up before.
        """
        with self._moved:
            self._line.append(ticket)
            while self._line.index(ticket) >= self._places and not given_up.is_set():
                self._moved.wait(0.1)  # so long may giving up go unnoticed
        try:
            yield not given_up.is_set()
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    def ahead(self, ticket: object) -> int:
        """Returns how many are before a ticket; 0 once it is inside or gone."""
        with self._moved:
            return max(0, self._line.index(ticket) - self._places + 1) if ticket in self._line else 0
