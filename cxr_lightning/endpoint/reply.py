"""What came back: an answer's text, how it ended, and how many tokens were paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Finish = Literal["stop", "length", "stopped"]
"""Why an answer ended: the model ended it, the limit of tokens did (it is cut off), or whoever asked did."""


@dataclass(frozen=True)
class Reply:
    """An answer, and how it ended.

    Attributes:
        text: The answer, without white space around it.
        tokens: How many tokens it took, its end included; None where a server does not say.
        finish: Why it ended; None where a server does not say.
        asked_tokens: How many tokens the question took; None where nobody says.
    """

    text: str
    tokens: int | None = None
    finish: Finish | None = None
    asked_tokens: int | None = None


def sound(text: str) -> str:
    """Returns a text that can be written and sent: half a letter (a lone surrogate, which JSON may hold) becomes "?".

    Args:
        text: What a server said, or a file.
    """
    return text.encode(errors="replace").decode()


def spoken(text: str) -> str:
    """Leaves out what a reasoning model thinks aloud; nothing is left of one that was cut off while it thought.

    Args:
        text: An answer.
    """
    said = text.rpartition("</think>")[2]
    return "" if "<think>" in said else said.strip()
