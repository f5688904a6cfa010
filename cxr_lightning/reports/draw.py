"""Chance without a generator: what is drawn for a study depends on its key and on what the draw is for.

So neither the number of workers nor the order of rows changes what a study is asked. Other studies do in one way only:
through the shares of findings that a caller counted among them and compares a draw with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def fraction(*words: str) -> float:
    """Map words to a number that is uniform in [0, 1) over different words.

    Args:
        words: What the draw is for, for example a study's key and a purpose.
    """
    digest = hashlib.blake2b("\x1f".join(words).encode(), digest_size=8).digest()
    # 53 bits, what a double holds exactly: with all 64 the quotient could round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def choose(options: Sequence[T], *words: str) -> T:
    """Draw one of several options, each equally likely over different words.

    Args:
        options: At least one.
        words: What the draw is for.
    """
    return options[int(fraction(*words) * len(options))]
