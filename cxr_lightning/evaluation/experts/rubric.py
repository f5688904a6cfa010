"""What a reader is asked of each report: XrayGPT's two questions, worded, and what was wrong."""

from __future__ import annotations

from dataclasses import dataclass

QUESTION = "Accurate: nothing that matters for care is wrong or missing."
"""After XrayGPT, whose doctors judged whether responses were accurate, and from 1 to 5; its words are not known."""

ANCHORS = {
    "1": "misleading or harmful",
    "2": "mostly wrong",
    "3": "right in part: needs correction",
    "4": "right, with small flaws",
    "5": "as I would have it",
}
"""What the scores mean."""


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error.

    Attributes:
        name: In files.
        key: On the keyboard.
        words: On the page.
    """

    name: str
    key: str
    words: str


ERRORS = (
    ErrorKind("missed", "m", "missed a finding"),
    ErrorKind("invented", "v", "invented a finding"),
    ErrorKind("place", "p", "wrong place"),
    ErrorKind("severity", "s", "wrong severity"),
    ErrorKind("other", "o", "other"),
)
"""The kinds; a report may have several."""
