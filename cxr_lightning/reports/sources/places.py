"""Records enter one by one, the places of those that belong together leave: what is held is a few bytes a record.

A table of reports may not fit in memory, and the rows of a study may stand anywhere in it. So it is read twice: once
for what belongs together, and once more, place by place, for what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple


class Place(NamedTuple):
    """Where a record stands.

    Attributes:
        line: Its line, or its number in the file, from 1.
        start: The byte it starts at.
    """

    line: int
    start: int


class Places:
    """Places by the name that joins them, names in the order of their first record."""

    def __init__(self) -> None:
        # A digest, since names may be as long as a path; a number, since a tuple costs four times as much.
        self._places: dict[bytes, int | list[int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, name: str, place: Place) -> None:
        """Note a record.

        Args:
            name: What joins it with others.
            place: Where it stands.
        """
        key = hashlib.blake2b(name.encode(), digest_size=16).digest()
        one = place.start << _LINE_BITS | place.line
        there = self._places.get(key)
        if there is None:
            self._places[key] = one
        elif isinstance(there, list):
            there.append(one)
        else:
            self._places[key] = [there, one]

    def __iter__(self) -> Iterator[list[Place]]:
        """Yields the places of each name."""
        for there in self._places.values():
            yield [_unpacked(one) for one in (there if isinstance(there, list) else [there])]


_LINE_BITS = 40


def _unpacked(one: int) -> Place:
    return Place(one & ((1 << _LINE_BITS) - 1), one >> _LINE_BITS)
