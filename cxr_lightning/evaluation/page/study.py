"""Which studies the page shows, out of however many were asked.

Enters every study with what was said of it; leaves a few dozen: the worst, the best, those with most that is not there,
and others evenly in between, so that a page shows no better model than there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cxr_lightning.evaluation.page.vocabulary import LOCATED, Vocabulary

Reason = Literal["worst", "inventing", "best", "between"]
"""Why a study is shown."""


@dataclass(frozen=True, slots=True)
class StudyCard:
    """One study as the page shows it.

    Attributes:
        key: Its key.
        image: Its encoded radiograph; None where it is not at hand.
        reference: What the radiologist said.
        answer: What the model said.
        truth: What is there, in located labels.
        swapped: What the model said about another patient's image instead; empty if it was not asked.
        other: That other image, encoded.
        blank: What the model said about a blank image; empty if it was not asked.
        views: Positions of the films it was shown.
        prompt: What it was asked.
        cut: Whether the answer ended at the longest that was allowed.
    """

    key: str
    image: bytes | None
    reference: str
    answer: str
    truth: frozenset[str]
    swapped: str = ""
    other: bytes | None = None
    blank: str = ""
    views: tuple[str, ...] = ()
    prompt: str = ""
    cut: bool = False


@dataclass(frozen=True)
class Judged:
    """A study and how its answer did.

    Attributes:
        study: The study.
        truth: Findings that are there.
        stated: Findings that its answer states.
    """

    study: StudyCard
    truth: frozenset[str]
    stated: frozenset[str]

    @cached_property
    def hits(self) -> frozenset[str]:
        """What is there, and was said."""
        return self.stated & self.truth

    @cached_property
    def missed(self) -> frozenset[str]:
        """What is there, and was not said."""
        return self.truth - self.stated

    @cached_property
    def invented(self) -> frozenset[str]:
        """What was said, and is not there."""
        return self.stated - self.truth

    @property
    def errors(self) -> int:
        """Number of findings missed or invented."""
        return len(self.missed) + len(self.invented)

    @property
    def f1(self) -> float:
        """F1 of its findings; 1 when both sides say normal."""
        total = len(self.stated) + len(self.truth)
        return 2 * len(self.hits) / total if total else 1.0


def judge(studies: Iterable[StudyCard], vocabulary: Vocabulary = LOCATED) -> list[Judged]:
    """Reads what answers state, and ranks them.

    Args:
        studies: The studies.
        vocabulary: In which labels.

    Returns:
        Them, the worst answered first; of equally bad ones that with more errors.
    """
    read = vocabulary.read
    judged = (
        Judged(study, study.truth if vocabulary.known else read(study.reference), read(study.answer))
        for study in studies
    )
    return sorted(judged, key=lambda each: (each.f1, -each.errors, each.study.key))


def choose_studies(ranked: Sequence[Judged], most: int) -> list[tuple[Judged, Reason]]:
    """Chooses what to show.

    Args:
        ranked: What `judge` returned.
        most: How many to show.

    Returns:
        Each with the reason for which it is shown, the worst answered first. Where all fit, all are shown.
    """
    share = max(1, min(most, len(ranked)) // 4)
    reasons: dict[str, Reason] = {}

    def take(order: Callable[[Judged], tuple[float, ...]], of: Callable[[Judged], bool], reason: Reason) -> None:
        left = [each for each in ranked if of(each) and each.study.key not in reasons]
        reasons.update({each.study.key: reason for each in sorted(left, key=order)[: min(share, most - len(reasons))]})

    take(lambda each: (-len(each.invented),), lambda each: len(each.invented) > 1, "inventing")
    take(lambda each: (each.f1, -each.errors), lambda each: each.errors > 0, "worst")
    take(lambda each: (-each.f1, -len(each.hits)), lambda each: each.f1 > 0.5, "best")
    rest = [each.study.key for each in ranked if each.study.key not in reasons]
    reasons.update(dict.fromkeys(_evenly(rest, most - len(reasons)), "between"))
    return [(each, reasons[each.study.key]) for each in ranked if each.study.key in reasons]


def _evenly(keys: Sequence[str], most: int) -> list[str]:
    """Takes so many of a list, from its beginning to its end."""
    if len(keys) <= most:
        return list(keys)
    return [keys[round(number * (len(keys) - 1) / max(most - 1, 1))] for number in range(most)]
