"""A part of a pack: which shards one task of a Slurm array makes, so that all tasks together make each of them once."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Part:
    """One of several equal parts.

    Attributes:
        number: Which, from 0.
        of: How many there are.
    """

    number: int = 0
    of: int = 1

    @classmethod
    def read(cls, words: str | None) -> Part:
        """Reads what the command line says.

        Args:
            words: Such as "3/16"; None for the whole.

        Raises:
            ValueError: It says something else.
        """
        if words is None:
            return cls()
        found = _WORDS.fullmatch(words)
        if not found or int(found[1]) >= int(found[2]):
            raise ValueError(f"--part {words}: give the part's number, from 0, and how many there are: 0/16 to 15/16")
        return cls(int(found[1]), int(found[2]))
