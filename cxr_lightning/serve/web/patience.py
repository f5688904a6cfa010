"""Who gives a password waits in a line: guessing is slow, and nobody else is kept out by it.

A line is that of a name from an address. One for all would let anybody keep all out, and one for a name its owner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

_LINE = 5
"""Most who wait under one name from one address."""
_LINES = 30
"""Most who wait from one address."""


class Patience:
    """The lines."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._waiting: Counter[tuple[str, str] | str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, name: str, address: str) -> AsyncIterator[bool]:
        """Waits for one's turn.

        Args:
            name: The name given, known or not.
            address: Where the request comes from.

        Yields:
            Whether it came; False at once where the line is too long.
        """
        line = (name, address)
        if self._waiting[line] >= _LINE or self._waiting[address] >= _LINES:
            self._waiting += Counter()
            yield False
            return
        self._waiting.update((line, address))
        try:
            async with self._locks.setdefault(line, asyncio.Lock()):
                yield True
        finally:
            self._waiting.subtract((line, address))
            self._waiting += Counter()  # leaves out those at zero
            if not self._waiting[line]:
                self._locks.pop(line, None)
