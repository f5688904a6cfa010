"""Which verdicts a reader should see: those that speak against the judge first, then those about the models.

Of long texts the page shows as much as that of an evaluation; the files have them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cxr_lightning.evaluation.judge.journal import Line
from cxr_lightning.evaluation.judge.outcomes import Outcome
from cxr_lightning.evaluation.judge.questions import CONTROLS, Plan
from cxr_lightning.evaluation.page.marks import LONGEST

_EACH = 4


@dataclass(frozen=True)
class Example:
    """One duel as the page shows it.

    Attributes:
        why: Why it is shown.
        outcome: The duel and what became of it.
        left: As much of the left report as is shown.
        right: Of the right one.
        reference: Of the radiologist's.
        raw: For each order: which report stood first, and the judge's words.
    """

    why: str
    outcome: Outcome
    left: str
    right: str
    reference: str
    raw: Sequence[tuple[str, str]]


_WHYS: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
    ("a control that the judge lost", lambda each: each.duel.kind in CONTROLS and each.settled == "right"),
    ("the verdict changed with the order", lambda each: each.settled == "undecided"),
    ("an answer that could not be read", lambda each: each.settled is None),
    ("another image’s report was preferred", lambda each: each.duel.kind == "swapped" and each.settled == "right"),
    ("the model was preferred to the radiologist", lambda each: each.duel.kind == "truth" and each.settled == "left"),
    ("the radiologist was preferred", lambda each: each.duel.kind == "truth" and each.settled == "right"),
    ("model against model", lambda each: each.duel.kind == "models" and each.settled in ("left", "right")),
)


def examples(found: Sequence[Outcome], known: Mapping[str, Line], plan: Plan) -> list[Example]:
    """Chooses duels to look at, a few of each sort.

    Args:
        found: What became of the duels.
        known: Verdicts by id of the question.
        plan: What was asked.
    """
    chosen = []
    for why, holds in _WHYS:
        fitting = [each for each in found if not each.duel.alike and holds(each)][:_EACH]
        chosen += [_example(why, each, known, plan) for each in fitting]
    return chosen


def _example(why: str, outcome: Outcome, known: Mapping[str, Line], plan: Plan) -> Example:
    duel = outcome.duel
    left, right, reference = map(_clip, (duel.left_text, duel.right_text, duel.study.reference))
    return Example(why, outcome, left, right, reference, _raw(outcome, known, plan))


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} […]"


def _raw(outcome: Outcome, known: Mapping[str, Line], plan: Plan) -> list[tuple[str, str]]:
    duel, told = outcome.duel, []
    for question in plan.of_duel(duel):
        if question.id not in known:
            continue
        first = duel.right if question.about["flipped"] else duel.left
        again = ", asked again" if question.about["again"] else ""
        told.append((f"{first} first{again}", "  |  ".join(map(_clip, known[question.id]["replies"]))))
    return told
