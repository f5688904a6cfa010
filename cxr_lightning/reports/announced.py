"""A report's text enters, where an addendum or an early reading begins leaves, though its colon was forgotten.

"ADDENDUM  The side was dictated wrongly", "ADDENDUM #1 ...", "Addendum by Dr. ___ - ...", "WET READ VERSION #1 ...":
the name stands at a line's start or behind a sentence, as a heading does. Overlooked, a correction would be part of the
impression that it corrects, or of nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ADDED = (
    r"(?:(?:final|first|second|third|revised|\d(?:st|nd|rd|th))[ \t]+)?addend(?:um|a)\b"
    r"(?:[ \t]+to[ \t]+(?:the[ \t]+)?(?:(?:final|original|above|signed)[ \t]+)?report\b)?"
    r"|(?:amended|corrected|revised)[ \t]+report\b|amendment\b"
)
_EARLY = (
    r"wet[ \t]?read(?:ing)?\b|(?:preliminary|prelim|provisional)[ \t]+"
    r"(?:report|read(?:ing)?|findings(?:[ \t]+impression)?|impression|interpretation)\b"
)
_COUNT = r"[ \t]*(?:version|number|no\.?)?[ \t]*\#[ \t]*\d{1,2}\b|[ \t]+(?:version|number)[ \t]+\d{1,2}\b"
_AUTHOR = r"[ \t]+(?:by|from|per|dated)\b(?:[^\n:]{0,60}?(?:[ \t][-–—]+(?=[ \t])|:)|[^\n:]{0,40}(?=\n))"
_ANNOUNCED = re.compile(
    rf"(?P<line>^[ \t\#*]*)?(?(line)|(?<=[.?!)])[ \t]+\**)(?P<name>(?P<added>{_ADDED})|{_EARLY})\**"
    rf"(?P<more>(?:{_COUNT})?(?:[ \t]*\([^()\n]{{0,60}}\))?(?:{_AUTHOR})?(?:[ \t]*[-–—:;.]+)?)(?P<gap>[ \t]*)",
    re.IGNORECASE | re.MULTILINE,
)
# A sentence that speaks of an addendum is none: "Addendum to follow", "ADDENDUM will be issued".
_SPOKEN_OF = re.compile(r"(?:to follow|to be|will|pending|follows)\b", re.IGNORECASE)
_WORDS = ("addend", "amend", "report", "read", "prelim", "provis")


def announced(block: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Find where addenda and early readings begin without a colon behind their plain name.

    Args:
        block: The text, whose lines end in line feeds.

    Yields:
        A match whose group `name` is the name, which begins in the space before it and ends where the words begin; and
        whether it is an addendum.
    """
    lower = block.lower()
    if any(word in lower for word in _WORDS):
        for match in _ANNOUNCED.finditer(block):
            if _begins(block, match):
                yield match, match["added"] is not None


def _begins(block: str, match: re.Match[str]) -> bool:
    if _SPOKEN_OF.match(block, match.end()):
        return False
    marked, after = bool(match["more"].strip()), block[match.end() : match.end() + 1]
    if not match["name"].isupper():  # "Addendum was made", "wet read of the resident"
        return match["name"][0].isupper() and (marked or (len(match["gap"]) > 1 and not after.islower()))
    return marked or len(match["gap"]) > 1 or not after.islower()
