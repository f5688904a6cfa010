"""What became of each duel: the verdicts of both orders, brought back to whose report was meant.

A report won only if the judge chose it in both orders. One that is chosen where it stands first and not where it stands
second has won nothing: the judge's verdict was about the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cxr_lightning.evaluation.judge.journal import Line
from cxr_lightning.evaluation.judge.questions import Duel, Plan, Question

Side = Literal["left", "right", "tie"]
Settled = Literal["left", "right", "tie", "undecided"]


@dataclass(frozen=True)
class Heard:
    """One verdict.

    Attributes:
        side: Whose report was preferred; None if the answer could not be read.
        first: Whether that report stood first; False for a tie.
    """

    side: Side | None
    first: bool


@dataclass(frozen=True)
class Outcome:
    """What a judge said of a duel.

    Attributes:
        duel: The duel.
        heard: The verdicts of both orders; none if both reports are alike.
        again: The first order's, asked a second time; None if it was not.
    """

    duel: Duel
    heard: tuple[Heard, ...]
    again: Heard | None

    @property
    def settled(self) -> Settled | None:
        """Which report won: undecided if the orders disagree, None if one could not be read."""
        if self.duel.alike:
            return "tie"
        sides = {each.side for each in self.heard}
        if None in sides or not sides:
            return None
        side = sides.pop()
        return "undecided" if sides else side


@dataclass(frozen=True)
class Graded:
    """Grades of one report.

    Attributes:
        patient: Whose study it is.
        subject: Whose report.
        grades: By name; None if the answer could not be read.
    """

    patient: str
    subject: str
    grades: Mapping[str, int] | None


def outcomes(plan: Plan, known: Mapping[str, Line]) -> list[Outcome]:
    """Returns what became of the duels; of those that the server refused in part, nothing.

    Args:
        plan: What was asked.
        known: Verdicts by id of the question.
    """
    found = []
    for duel in plan.duels:
        questions = plan.of_duel(duel)
        heard = [_heard(known[each.id], each) for each in questions[:2] if each.id in known]
        if duel.alike or len(heard) == 2:
            again = next((_heard(known[each.id], each) for each in questions[2:] if each.id in known), None)
            found.append(Outcome(duel, tuple(heard), again))
    return found


def gradings(plan: Plan, known: Mapping[str, Line]) -> list[Graded]:
    """Returns the grades that were given.

    Args:
        plan: What was asked.
        known: Verdicts by id of the question.
    """
    asked = ((each, plan.of_grading(each).id) for each in plan.gradings)
    return [
        Graded(each.study.patient, each.subject, known[name]["verdict"]) for each, name in asked if name in known
    ]  # fmt: skip


def verdicts_of(plan: Plan, known: Mapping[str, Line]) -> list[Line]:
    """Returns the lines that answer this plan; a journal may hold others, of other models or prompts.

    Args:
        plan: What was asked.
        known: Verdicts by id of the question.
    """
    return [known[each.id] for each in plan.questions() if each.id in known]


def _heard(line: Line, question: Question) -> Heard:
    choice = line["verdict"]
    if choice not in ("A", "B"):
        return Heard("tie" if choice == "tie" else None, first=False)
    first = choice == "A"
    return Heard("left" if first != question.about["flipped"] else "right", first)
