"""What a source hands on: studies with the place they were found at, and flaws with the place and the reason.

A source never stops at a bad row: it says what is wrong with it and goes on, and whoever packs decides how many flaws
are too many. Neither reason nor place ever holds report text or a patient's name, so both may be printed.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr_lightning.study import Study


@dataclass(frozen=True, slots=True)
class Found:
    """A study and where its source has it.

    Attributes:
        study: The study.
        where: File and lines, for people: "studies.jsonl:12" or "studies.csv:3,4".
    """

    study: Study
    where: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that keeps a study out.

    Attributes:
        where: File and lines, for people.
        kind: A few words that equal flaws share, to count them by ("image missing").
        reason: What exactly is wrong here, without report text and without patient names.
        bad: False where nothing is wrong but nothing can be learned either (a report that only says "no change"): such
            studies are left out and counted, however many there are.
    """

    where: str
    kind: str
    reason: str
    bad: bool = True


class SourceError(ValueError):
    """A source as a whole cannot be read: the message says what was found, where, and what to do."""


class StudyError(ValueError):
    """One study cannot be used: the message says why, without report text and without patient names.

    Args:
        kind: A few words that equal errors share, to count them by.
        reason: What exactly is wrong here.
        bad: False where nothing is wrong but nothing can be learned either.
    """

    def __init__(self, kind: str, reason: str, *, bad: bool = True) -> None:
        super().__init__(reason)
        self.kind = kind
        self.bad = bad

    def flaw(self, where: str) -> Flaw:
        """Make it a flaw.

        Args:
            where: File and lines, for people.
        """
        return Flaw(where, self.kind, str(self), self.bad)


def view_missing(where: str, missing: str) -> Flaw:
    """Tells of a study that goes without some of its images.

    Args:
        where: File and lines of the study.
        missing: How many of which images are not there: "1 of 3 images".
    """
    return Flaw(where, "view missing", f"{missing} are not there; it goes without", bad=False)
