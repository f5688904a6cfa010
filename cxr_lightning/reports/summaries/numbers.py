"""The numbers that a text names, so that those of two texts can be compared: sizes in millimetres, counts, levels.

"1.5 cm" and "15 mm" are one number, and so are "7th rib" and "seventh rib": a summary may write either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COUNTS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
    )
}
_RANKS = {
    word: number
    for number, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),  # noqa: SIM905
        start=1,
    )
}
_WORDED = {word: value for word, value in (_COUNTS | _RANKS).items() if word not in ("one", "zero")}
_IN_MM = {"cm": 10.0, "mm": 1.0}
_UNIT = (
    r"(?P<unit>cm|mm|centimet(?:er|re)s?|millimet(?:er|re)s?|%|percent|degrees?|inch(?:es)?|ml|cc|kg|lbs?"
    r"|months?|weeks?|days?|years?)"
)
_NUMBER = re.compile(
    rf"(?<![\w.,])(?<![tcl]-)(?P<value>\d+(?:\.\d+)?|\.\d+)(?:(?:st|nd|rd|th)\b|[\s-]*{_UNIT}(?![a-z])|(?![\w%]))",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"\s*(?:x|by|×|to|-|–|and|or)\s*", re.IGNORECASE)
_LEVEL = re.compile(r"\b([tcl]-?\d{1,2})\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a text.

    Attributes:
        written: Those in figures: value and unit, lengths in millimetres; levels of the spine such as "t12".
        worded: Those in words; "one" is not among them, for it is more often no number.
    """

    written: frozenset[str]
    worded: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Both."""
        return self.written | self.worded


@dataclass(frozen=True, slots=True)
class Located:
    """A number in a text.

    Attributes:
        name: Value and unit, as in `Numbers`.
        start: Where it begins.
        end: Where it ends.
        written: Whether it is in figures.
    """

    name: str
    start: int
    end: int
    written: bool


def find_numbers(text: str) -> Numbers:
    """Reads the numbers of a text.

    Args:
        text: Any text.
    """
    found = locate_numbers(text)
    return Numbers(
        frozenset(each.name for each in found if each.written),
        frozenset(each.name for each in found if not each.written),
    )


def locate_numbers(text: str) -> tuple[Located, ...]:
    """Reads the numbers of a text, and where each stands.

    Args:
        text: Any text.

    Returns:
        Those in figures and those in words, in the order of the text.
    """
    levels = [
        Located(match[0].lower().replace("-", ""), match.start(), match.end(), written=True)
        for match in _LEVEL.finditer(text)
    ]
    written, found = [], list(_NUMBER.finditer(text))
    unit = ""
    for place in range(len(found) - 1, -1, -1):  # backwards: in "2 x 3 cm" both are centimetres
        match = found[place]
        own = (match["unit"] or "").lower()
        chained = place + 1 < len(found) and _CHAIN.fullmatch(text, match.end(), found[place + 1].start()) is not None
        unit = own or (unit if chained else "")
        written.append(Located(_named(float(match["value"]), unit), match.start(), match.end(), written=True))
    worded = [
        Located(_named(_WORDED[match[0].lower()], ""), match.start(), match.end(), written=False)
        for match in _WORD.finditer(text)
        if match[0].lower() in _WORDED
    ]
    return tuple(sorted((*levels, *written, *worded), key=lambda each: each.start))


def _named(value: float, unit: str) -> str:
    short = {"c": "cm", "m": "mm"}.get(unit[:1], unit) if unit[1:2] in ("m", "e", "i") and unit[:1] in "cm" else unit
    if short in _IN_MM:
        return f"{value * _IN_MM[short]:g} mm"
    return f"{value:g} {'%' if short == 'percent' else short.rstrip('s')}".strip()
