"""A true report enters, one that is false in a way that matters leaves: sides swapped, negations dropped.

The copy differs in few letters and hardly in length or style, so that only a judge who reads what is said can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_OTHER_SIDE = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_DENIALS = (
    (re.compile(r"\bthere (is|are) no\b( evidence of)?", re.IGNORECASE), r"there \1"),
    (re.compile(r"\bno (?:evidence of |sign of |signs of )?(?=[a-z])", re.IGNORECASE), "there is "),
    (re.compile(r"\bwithout\b( evidence of)?", re.IGNORECASE), "with"),
    (re.compile(r"\b(is|are) not\b", re.IGNORECASE), r"\1"),
)
_ORDINARY = (
    (re.compile(r"\bwithin normal limits\b", re.IGNORECASE), "far outside normal limits"),
    (re.compile(r"\bnormal\b", re.IGNORECASE), "abnormal"),
    (re.compile(r"\bclear\b", re.IGNORECASE), "opacified"),
    (re.compile(r"\bunremarkable\b", re.IGNORECASE), "abnormal"),
)


def corrupt(text: str) -> tuple[str, str] | None:
    """Makes a report false.

    Args:
        text: The report.

    Returns:
        The false one and what was done to it; None where nothing in it can be turned round.
    """
    for what, change in _CHANGES:
        changed = change(text)
        if changed != text:
            return changed, what
    return None


def _swap_sides(text: str) -> str:
    return _SIDE.sub(lambda found: _like(_OTHER_SIDE[found[1].lower()], found[1]), text)


def _drop_negations(text: str) -> str:
    return _replace(text, _DENIALS)


def _deny_normality(text: str) -> str:
    return _replace(text, _ORDINARY)


def _replace(text: str, changes: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, instead in changes:
        text = pattern.sub(lambda found, instead=instead: _like(found.expand(instead), found[0]), text)  # type: ignore[misc]
    return text


_CHANGES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("sides swapped", _swap_sides),
    ("negations dropped", _drop_negations),
    ("normal called abnormal", _deny_normality),
)


def _like(words: str, model: str) -> str:
    """Writes words with the capitals of those they replace: a small letter after a full stop would give them away."""
    if model.isupper():
        return words.upper()
    return words[0].upper() + words[1:] if model[0].isupper() else words
