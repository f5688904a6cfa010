"""What a summary says of the wrong one of two: sizes of two nodules the wrong way round, the wrong side the worse.

Each number alone is the report's, and so is each side; only what stands beside it tells that they were exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations

from cxr_lightning.reports.sentences import split_sentences
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.likeness import CLAUSE, read_sentence
from cxr_lightning.reports.summaries.numbers import find_numbers

_RESPECTIVELY = re.compile(r"\brespectively\b", re.IGNORECASE)
_UNITS = frozenset(("mm", "cm", "millim", "centim"))
_MOST = 24
"""Numbers beyond are not compared: every pair costs, and no report has so many."""
_MORE = r"(?:greater|more|larger|worse|bigger|higher)\b"
_WHERE_MORE = re.compile(  # "greater on the left than on the right", "left greater than right"
    rf"\b{_MORE}[^.;,]{{0,20}}?\b(?P<after>left|right)\b[^.;,]{{0,20}}?\bthan\b"
    rf"|\b(?P<before>left|right)\b[^.;,]{{0,40}}?(?:>|\b{_MORE}(?:(?!left|right)[^.;,]){{0,20}}?\bthan\b)"
    r"[^.;,]{0,20}?\b(?:left|right)\b",
    re.IGNORECASE,
)


def swap_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares what stands beside numbers, and which side is said to be the more.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What was exchanged.
    """
    theirs, ours = _owners(source), _owners(summary)
    for one, other in combinations(sorted(theirs.keys() & ours.keys())[:_MOST], 2):
        # Only what tells the two apart counts: "nodule" says nothing where both are nodules.
        first, second = theirs[one] - theirs[other], theirs[other] - theirs[one]
        own = len(first & ours[one]) + len(second & ours[other])
        crossed = len(first & ours[other]) + len(second & ours[one])
        if crossed > own:
            yield Fault("number", f"the report says {one} and {other} of other things than you: you exchanged them")
    said, wrong = _mores(source), _mores(summary)
    if len(said) == 1 and wrong and not said & wrong:
        yield Fault("side", f"the report says that it is more on the {next(iter(said))}")


@lru_cache(maxsize=64)
def _owners(text: str) -> dict[str, frozenset[str]]:
    """Returns the words and sides that stand in one clause with each number in figures."""
    found: dict[str, frozenset[str]] = {}
    for sentence in split_sentences(text):
        if _RESPECTIVELY.search(sentence):
            continue  # owners stand in another clause
        for clause in CLAUSE.split(sentence):
            part = read_sentence(clause)
            for number in find_numbers(clause).written:
                found[number] = found.get(number, frozenset()) | (part.words - _UNITS) | part.sides
    return found


def _mores(text: str) -> frozenset[str]:
    return frozenset((match["after"] or match["before"]).lower() for match in _WHERE_MORE.finditer(text))
