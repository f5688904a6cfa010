"""How much of a finding there is, in a reader's words: three steps, since readers do not agree on finer ones.

Enters the words beside a mention; leaves a `Severity`, or None where nothing is said.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Severity(IntEnum):
    """How large or how severe; comparable."""

    MILD = 1
    MODERATE = 2
    SEVERE = 3


_WORDS = re.compile(
    r"\b(?:(?P<MILD>tiny|trace|minimal(?:ly)?|minor|small|mild(?:ly)?|slight(?:ly)?|subtle|faint)"
    r"|(?P<MODERATE>moderate(?:ly)?|medium)"
    r"|(?P<SEVERE>large|severe(?:ly)?|marked(?:ly)?|massive(?:ly)?|extensive|gross(?:ly)? enlarged|huge|tension))\b"
)


def severity(words: str) -> Severity | None:
    """Reads how severe a finding is said to be.

    Args:
        words: Lower-case words beside the mention.

    Returns:
        The highest step said ("mild to moderate" is moderate), or None.
    """
    steps = [Severity[match.lastgroup] for match in _WORDS.finditer(words) if match.lastgroup]
    return max(steps, default=None)
