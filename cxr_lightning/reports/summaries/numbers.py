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


def find_numbers(text: str) -> Numbers:
    """Reads the numbers of a text.

    Args:
        text: Any text.
    """
    written, found = {level.lower().replace("-", "") for level in _LEVEL.findall(text)}, list(_NUMBER.finditer(text))
    unit = ""
    for place in range(len(found) - 1, -1, -1):  # backwards: in "2 x 3 cm" both are centimetres
        match = found[place]
        own = (match["unit"] or "").lower()
        chained = place + 1 < len(found) and _CHAIN.fullmatch(text, match.end(), found[place + 1].start()) is not None
        unit = own or (unit if chained else "")
        written.add(_named(float(match["value"]), unit))
    words = [word.lower() for word in _WORD.findall(text)]
    worded = {_named(_COUNTS[word], "") for word in words if word in _COUNTS and word not in ("one", "zero")}
    return Numbers(
        frozenset(written), frozenset(worded | {_named(_RANKS[word], "") for word in words if word in _RANKS})
    )


def _named(value: float, unit: str) -> str:
    short = {"c": "cm", "m": "mm"}.get(unit[:1], unit) if unit[1:2] in ("m", "e", "i") and unit[:1] in "cm" else unit
    if short in _IN_MM:
        return f"{value * _IN_MM[short]:g} mm"
    return f"{value:g} {'%' if short == 'percent' else short.rstrip('s')}".strip()
