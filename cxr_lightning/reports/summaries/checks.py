"""A report and the summary that a model wrote of it enter, what is wrong with the summary leaves.

Nothing here needs a model: numbers, findings, sides, negations and the manner are read by rule, and each fault can be
traced to a word. What a rule cannot see (a nuance, a wrong emphasis) it lets through; how much, the page on summaries
tells from planted faults.
"""

from __future__ import annotations

from collections.abc import Iterator

from cxr_lightning.reports.summaries.claims import claim_faults
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.likeness import likeness_faults
from cxr_lightning.reports.summaries.manner import manner_faults
from cxr_lightning.reports.summaries.numbers import find_numbers
from cxr_lightning.reports.summaries.swaps import swap_faults
from cxr_lightning.reports.summaries.words import word_faults

VERSION = 4
"""Raised with every change of what the checks find: verdicts of before are then made again, from the kept answers."""

_ALONE = ("empty", "as an AI", "another language", "too long")
_CUT_OFF = Fault("cut off", "your paragraph was cut off; write it shorter")


def find_faults(source: str, summary: str, *, cut_off: bool = False) -> tuple[Fault, ...]:
    """Looks for what is wrong with a summary.

    Args:
        source: The report's text: findings and impression, cleaned.
        summary: The summary's.
        cut_off: Whether the limit of tokens ended it.

    Returns:
        The faults; none where it may be used.
    """
    return tuple(_faults(source, summary, cut_off))


def _faults(source: str, summary: str, cut_off: bool) -> Iterator[Fault]:
    if cut_off:
        yield _CUT_OFF
    manner = list(manner_faults(source, summary))
    yield from manner
    if any(fault.kind in _ALONE for fault in manner):
        return  # the rest would be noise, and of a model that turns in a circle minutes of work
    yield from _number_faults(source, summary)
    yield from word_faults(source, summary)
    yield from claim_faults(source, summary)
    yield from likeness_faults(source, summary)
    yield from swap_faults(source, summary)


def _number_faults(source: str, summary: str) -> Iterator[Fault]:
    theirs, ours = find_numbers(source), find_numbers(summary)
    for number in sorted(theirs.written - ours.all):
        yield Fault("number", f"the report says {number}; say so")
    for number in sorted(ours.all - theirs.all):
        yield Fault("number", f"the report nowhere says {number}")
