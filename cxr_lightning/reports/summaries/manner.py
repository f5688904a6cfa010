"""How a summary is written, whatever it says: plain English prose of a fair length, about this image alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cxr_lightning.findings.normality import refuses
from cxr_lightning.reports.residue import residue_of
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.likeness import share_known

_FORM = re.compile(
    r"^\s*(?:#+ |[-*•] |\d+[.)] )|\*\*|^\s*(?:here (?:is|are)|sure\b|certainly\b|of course|below is|summary\b"
    r"|(?:the |this |a )?(?:fluent |combined |merged )?(?:summary|paragraph) (?:is|of|follows)|findings?:|impression:"
    r"|report:)|\b(?:i have|i've|let me know|hope this|please (?:note|consult))\b",
    re.IGNORECASE | re.MULTILINE,
)
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Za-z ]*\]")
_RESIDUE = {
    "priors": "speak of this image alone, not of an earlier one or of change",
    "blanks": "leave out blanks and placeholders",
    "as an AI": "write the paragraph, and nothing about yourself",
    "questions": "ask nothing",
    "another language": "write English",
}
_PLAIN_ENGLISH = frozenset(
    "the is are of in and no there a an with or to at on within has not seen for as".split()  # noqa: SIM905
)
_LETTERS = re.compile(r"[^\W\d_]+")
_KNOWN, _OWN_WORDS, _ENGLISH, _FEW = 0.35, 0.7, 0.12, 8
_SHORTEST, _LONGEST, _SPARE, _LETTERS_A_WORD = 0.3, 1.5, 12, 10


def manner_faults(source: str, summary: str) -> Iterator[Fault]:
    """Looks at how a summary is written.

    Args:
        source: The report's text.
        summary: The summary's, as the model wrote it.

    Yields:
        What is wrong.
    """
    if not summary.strip():
        yield Fault("empty", "you wrote nothing")
        return
    if too_long := _too_long(source, summary):
        yield too_long  # first: what follows takes its time over every sentence
        return
    found = set(residue_of(summary)) - residue_of(source)
    found |= {"as an AI"} if refuses(summary) else set()
    found |= {"blanks"} if _PLACEHOLDER.search(summary) else set()
    found |= set() if _is_about(source, summary) else {"another language"}
    for kind in sorted(found):
        yield Fault(kind, _RESIDUE[kind])
    if _FORM.search(summary) and not _FORM.search(source):
        yield Fault("form", "write one plain paragraph: no heading, list, introduction or remark")
    if len(summary.split()) < _SHORTEST * len(source.split()) - 2:
        yield Fault("too short", f"{_counted(source, summary)}; say all that it says")


def _is_about(source: str, summary: str) -> bool:
    """Tells whether a summary has the report's words, or at least the small words of English."""
    words = [word.lower() for word in _LETTERS.findall(summary)]
    known = share_known(source, summary)
    if known < _KNOWN:
        return False
    # Radiologists leave out articles; what has the report's own words is English without them.
    return (
        known >= _OWN_WORDS
        or len(words) < _FEW
        or sum(word in _PLAIN_ENGLISH for word in words) >= _ENGLISH * len(words)
    )


def _too_long(source: str, summary: str) -> Fault | None:
    """By words, and by letters: some that turn in a circle never put a space."""
    words = len(summary.split()) > _LONGEST * len(source.split()) + _SPARE
    letters = len(summary) > 2 * _LONGEST * len(source) + _LETTERS_A_WORD * _SPARE
    return Fault("too long", f"{_counted(source, summary)}; add nothing") if words or letters else None


def _counted(source: str, summary: str) -> str:
    return f"the report has {len(source.split())} words and you {len(summary.split())}"
