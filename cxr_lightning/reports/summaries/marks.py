"""What is said of the things that a text names, by axes: how large, how old, above or below, where a tube ends.

Two values of one axis exclude each other; which thing has which is told by the words beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cxr_lightning.reports.summaries.devices import DEVICES, NAME_OF, PLACES
from cxr_lightning.reports.summaries.groups import Group, read_groups
from cxr_lightning.reports.summaries.likeness import read_sentence
from cxr_lightning.reports.summaries.numbers import locate_numbers

Kept = Literal["both", "brought", "stated", "beside"]
"""What is a fault by itself: a value that only one of two texts has; only one that the summary brings; one that it
brings, or loses where it is no denial; or nothing, but that it stands beside another thing."""

AXES: dict[str, tuple[Kept, dict[str, str]]] = {
    "severity": (
        "beside",
        {
            "small": r"(?:tiny|trace|minimal(?:ly)?|small|mild(?:ly)?|slight(?:ly)?)\b(?! (?:to|or) )",
            "moderate": r"moderate(?:ly)?\b(?! (?:to|or) )",
            "large": r"(?:large|severe(?:ly)?|marked(?:ly)?|massive(?:ly)?|extensive|huge)\b",
        },
    ),
    "age": (
        "stated",
        {
            "acute": r"(?:sub)?acute(?:ly)?\b",
            "old": r"(?:old|healed|healing|remote|chronic(?:ally)?|long ?standing)\b",
        },
    ),
    "nature": (
        "both",
        {"malignant": r"(?:malignan|metasta|cancer|neoplas|carcinoma|tumou?r)\w*", "benign": r"benign\b"},
    ),
    "height": ("brought", {"above": r"above\b", "below": r"(?:below|beneath)\b"}),
    "depth": ("both", {"anterior": r"anterior(?:ly)?\b", "posterior": r"posterior(?:ly)?\b"}),
    "many": (
        "brought",
        {
            "single": r"(?:single|solitary)\b(?! (?:lead|chamber|lumen|view|frontal|ap\b|portable|film|image))",
            "multiple": r"(?:multiple|several|numerous|innumerable|many|multifocal)\b",
        },
    ),
    "move": (
        "both",
        {
            "advance": r"advanc(?:e|ed|ing|ement)\b(?! (?:disease|age|emphysema|copd|degener|arthr))",
            "withdraw": r"(?:withdr[ae]w\w*|pull(?:ed|ing)? (?:\w+ )?back)\b",
        },
    ),
    "leads": (
        "both",
        {
            "single": r"(?:single|one) (?:lead|chamber)|unipolar",
            "dual": r"(?:dual|double|two) (?:lead|chamber)|bipolar",
            "triple": r"(?:triple|three) (?:lead|chamber)|bi ?ventricular\b",
        },
    ),
    "vein": (
        "both",
        {"jugular": r"jugular\b|ij\b", "subclavian": r"subclavian\b", "femoral": r"femoral (?:line|cath|app|central)"},
    ),
    "tension": ("both", {"tension": r"tension\b"}),
    "dissection": ("both", {"dissected": r"dissect\w+"}),
    "hernia": (
        "both",
        {
            "hiatal": r"hiat(?:al|us) hernia\w*|hernia\w* (?:of|through) the hiatus",
            "diaphragmatic": r"diaphragmatic hernia\w*|bochdalek|morgagni",
        },
    ),
    "hedge": (
        "both",
        {
            "hedged": r"(?:likely|likelihood|probab|presum|possib|may|might|could|perhaps|suggest|consistent with"
            r"|compatible|favou?r|suspect|suspici|concern|question|worrisome|versus|vs|exclude|indeterminate|represent|reflect"
            r"|if|differential|either|borderline|equivocal|rule out|uncertain|related|due|secondary)\w*"
        },
    ),
    "definite": ("both", {"definite": r"(?:definit|obvious|convinc)\w*"}),
}
"""Values in lower case and with hyphens as spaces."""

_PATTERNS = {
    axis: re.compile(r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in values.items()) + ")")
    for axis, (_, values) in AXES.items()
}
_TOKEN = re.compile(r"\bzz[a-z]{2}z\b")
_SVC = re.compile(r"\b(upper|mid|lower) $")
_SHIFT = re.compile(
    r"\b(left|right)ward(?:s|ly)?\b|\b(?:shift|deviat|displac|push|rotat)\w*(?: \w+){0,4}?"
    r" to(?:wards?)? the (left|right)"
    r"|\b(left|right) (?:sided )?(?:mediastinal |tracheal )?(?:shift|deviation)\b"
)
_MORE, _LESS = r"(?:greater|more|larger|worse|bigger|higher)\b", r"(?:smaller|less|milder)\b"
_WHERE_MORE = re.compile(  # "greater on the left than on the right", "left greater than right", "larger on the left"
    rf"\b(?:{_MORE}|(?P<less>{_LESS}))[^.;,]{{0,20}}?\b(?P<after>left|right)\b[^.;,]{{0,20}}?\bthan\b"
    rf"|\b(?P<before>left|right)\b[^.;,]{{0,40}}?(?:>|\b(?:{_MORE}|(?P<lesser>{_LESS}))"
    r"(?:(?!left|right)[^.;,]){0,20}?\bthan\b)[^.;,]{0,20}?\b(?:left|right)\b"
    rf"|\b(?:{_MORE}|greatest|worst|largest|most)(?: \w+)?(?: so)? (?:on|at|in) the (?P<at>left|right)\b"
)
_OTHER = {"left": "right", "right": "left"}
_RESPECTIVELY = re.compile(r"\brespectively\b")
_SPLIT = re.compile(r"\s*(?:,|\band\b)\s*")


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing said of another.

    Attributes:
        axis: Key of `AXES`, or "number" and its unit, "more", "shift", "tip", or "side of" a device.
        value: What is said.
        words: The telling words of the group in which it stands, less its own.
        sides: The sides there.
        around: The telling words of the whole sentence.
        denies: Whether its group denies something.
        told: It, in words that a reader knows.
    """

    axis: str
    value: str
    words: frozenset[str]
    sides: frozenset[str]
    around: frozenset[str]
    denies: bool
    told: str


@lru_cache(maxsize=16)
def read_marks(text: str) -> tuple[Mark, ...]:
    """Reads what a text says of what it names.

    Args:
        text: A report or a summary.
    """
    marks: list[Mark] = []
    plain = ""
    for group in read_groups(text):
        if _RESPECTIVELY.search(group.plain):
            if group.plain is not plain:
                marks += _in_order(group)
        else:
            marks += _of_group(group)
        if group.plain is not plain:
            marks += _of_sentence(group)
        plain = group.plain
    return tuple(marks)


def _of_group(group: Group) -> Iterator[Mark]:
    for axis, value, said in _said(group.text):
        own = read_sentence(said).words
        sides = frozenset[str]() if axis == "vein" else group.sides
        yield Mark(axis, value, group.words - own, sides, group.around - own, group.denies, said.strip())
    for token in dict.fromkeys(_TOKEN.findall(group.text)):
        name = NAME_OF[token]
        if name in DEVICES:
            for side in sorted(group.sides):
                words = frozenset((token,))
                yield Mark(f"side of {name}", side, words, frozenset(), words, group.denies, f"{side} {name}")


def _said(text: str) -> Iterator[tuple[str, str, str]]:
    """Returns axis, value and words of all that a stretch of text says."""
    for number in locate_numbers(text):
        yield f"number {number.name.partition(' ')[2]}", number.name, text[number.start : number.end]
    for axis, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            yield axis, match.lastgroup or "", match[0]
    for match in _TOKEN.finditer(text):
        name = NAME_OF[match[0]]
        if name in PLACES:
            level = _SVC.search(text, max(0, match.start() - 6), match.start()) if name == "svc" else None
            yield "tip", f"{level[1]} {name}" if level else name, match[0]


def _of_sentence(group: Group) -> Iterator[Mark]:
    for match in _WHERE_MORE.finditer(group.plain):
        side = match["after"] or match["before"] or match["at"]
        side = _OTHER[side] if match["less"] or match["lesser"] else side
        yield Mark("more", side, group.around, frozenset(), group.around, False, f"more on the {side}")
    for match in _SHIFT.finditer(group.plain):
        side = match[1] or match[2] or match[3]
        yield Mark("shift", side, group.around, frozenset(), group.around, False, f"to the {side}")


def _in_order(group: Group) -> Iterator[Mark]:
    """Reads "A and B measure 6 and 12 mm, respectively": values in their order belong to owners in theirs."""
    text = group.plain
    by_axis: dict[str, list[tuple[str, str]]] = {}
    for axis, value, said in _said(text):
        by_axis.setdefault(axis, []).append((value, said))
    for axis, values in by_axis.items():
        if len(values) < 2 or axis == "tip":
            continue
        first, last = text.find(values[0][1]), text.rfind(values[-1][1]) + len(values[-1][1])
        for part in (text[:first], text[last:]):
            owners = [owner for owner in _SPLIT.split(_RESPECTIVELY.sub(" ", part)) if read_sentence(owner).words]
            if len(owners) == len(values):
                for owner, (value, said) in zip(owners, values, strict=True):
                    read = read_sentence(owner)
                    yield Mark(axis, value, read.words, read.sides, group.around, group.denies, said)
                break
