"""What a summary says of the wrong one of two, or of nothing: sizes, grades, ages, places of tubes, the worse side.

Each word alone may be the report's, and so is each side; only what stands beside it tells that they were exchanged. A
mark of one text is held against those of the same axis in the other: the one beside the likest words must say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cxr_lightning.reports.summaries.devices import NAME_OF
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.marks import AXES, Mark, read_marks

_MOST = 48
"""Marks of one axis beyond are not compared: every pair costs, and no report has so many."""
_SAME_SIDE = 3
_COUNTED = frozenset(("nodule", "mass", "masses", "fractu")) | {
    token for token, name in NAME_OF.items() if name in ("chest tube", "central line", "enteric tube", "PICC")
}
"""Things of which a summary keeps how many there are."""
_CARDINALS = frozenset(("two", "three", "four", "five", "six"))
_PAIR = re.compile(r"\b(?:both|bilateral(?:ly)?|pair)\b", re.IGNORECASE)
_KINDS = {"severity": "severity", "more": "side", "shift": "side", "side": "side", "tip": "place", "number": "number"}


def swap_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares what is said of what.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What was exchanged, brought or lost.
    """
    theirs, ours = _by_axis(source), _by_axis(summary)
    for axis in sorted(theirs.keys() | ours.keys()):
        said, ours_said = theirs.get(axis, []), ours.get(axis, [])
        crossed = _crossed(ours_said, said) or _crossed(said, ours_said)
        if crossed:
            one, other = crossed
            yield Fault(_kind(axis), f'"{one.told}" and "{other.told}" are of other things in the report than with you')
            continue
        for mark in _missing(ours_said, said, lost=False):
            yield Fault(_kind(axis), f'the report does not say "{_told(mark)}" of what you say it')
        for mark in _missing(said, ours_said, lost=True):
            if mark.told == "two" and _PAIR.search(summary):
                continue
            yield Fault(_kind(axis), f'the report says "{_told(mark)}"; keep it where it stands')


def _kind(axis: str) -> str:
    return _KINDS.get(axis.split()[0], "qualifier")


def _told(mark: Mark) -> str:
    return NAME_OF.get(mark.told, mark.told)


def _by_axis(text: str) -> dict[str, list[Mark]]:
    found: dict[str, list[Mark]] = {}
    for mark in read_marks(text):
        marks = found.setdefault(mark.axis, [])
        if len(marks) < _MOST and mark not in marks:
            marks.append(mark)
    return found


def _crossed(marks: list[Mark], others: list[Mark]) -> tuple[Mark, Mark] | None:
    """Finds a mark whose words stand beside another value in the other text, and less beside its own."""
    if len({mark.value for mark in (*marks, *others)}) < 2:
        return None
    # What stands beside two values in one text tells nothing: "nodule" where both are nodules.
    common = _beside_two(marks) | _beside_two(others)
    for mark in marks:
        best: dict[bool, tuple[int, Mark]] = {}
        for other in others:
            likeness = _likeness(mark, other, common)
            same = other.value == mark.value
            if same not in best or likeness > best[same][0]:
                best[same] = (likeness, other)
        if False in best and best[False][0] > max(0, best[True][0] if True in best else 0):
            return mark, best[False][1]
    return None


def _beside_two(marks: list[Mark]) -> frozenset[str]:
    beside: dict[str, str] = {}
    twice = set()
    for mark in marks:
        for word in mark.words:
            if beside.setdefault(word, mark.value) != mark.value:
                twice.add(word)
    return frozenset(twice)


def _likeness(one: Mark, other: Mark, common: frozenset[str]) -> int:
    if one.sides and other.sides and not one.sides & other.sides:
        return -1
    return len((one.words & other.words) - common) + _SAME_SIDE * bool(one.sides and one.sides == other.sides)


def _missing(marks: list[Mark], others: list[Mark], *, lost: bool) -> Iterator[Mark]:
    """Finds marks that the other text has not, or has only where nothing of the same is spoken of."""
    for mark in marks:
        kept = AXES[mark.axis][0] if mark.axis in AXES else "both"
        if kept == "beside" or (lost and (kept == "brought" or (kept == "stated" and mark.denies))):
            continue
        if mark.axis == "more" or (mark.axis.startswith("number") and not (lost and _kept(mark))):
            continue
        if not any(
            mark.value == other.value and (not mark.around or not other.around or mark.around & other.around)
            for other in others
        ):
            yield mark
            return


def _kept(mark: Mark) -> bool:
    """Tells whether a number may not be left out: any in figures; in words, how many nodules or tubes there are."""
    return mark.told[:1].isdigit() or bool(mark.told in _CARDINALS and mark.words & _COUNTED)
