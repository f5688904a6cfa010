"""What will be asked: duels of two reports in both orders, and grades for single ones.

Enters the material; leave questions, each with an id made of its very words, so that a verdict is never asked twice
and never taken for an answer to other words. Reports that are alike word for word are a tie that nobody needs to tell.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

from cxr_lightning.endpoint.plain import plain
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.answers import Form
from cxr_lightning.evaluation.judge.corruption import corrupt
from cxr_lightning.evaluation.judge.material import Material, Study, System

DuelKind = Literal["truth", "swapped", "models", "stranger", "corrupted"]
"""Against the radiologist; its own image against another's; model against model; and the two controls."""
CONTROLS: tuple[DuelKind, ...] = ("stranger", "corrupted")
"""Duels between the truth and what is surely false, with the truth given: who loses them cannot judge."""
RADIOLOGIST, STRANGER, CORRUPTED = "the radiologist", "another patient's report", "a falsified copy"
TRUTH = "the true report"
_UNLIKE = 1.1
"""Ratio of lengths from which one report counts as longer."""


@dataclass(frozen=True)
class Duel:
    """Two reports of one study.

    Attributes:
        kind: What is tried by it.
        study: The study.
        left: Whose the left report is: in controls and against the radiologist, the one in question or the right one.
        right: Whose the right one is.
        left_text: The left report.
        right_text: The right one.
        informed: Whether the judge is given the truth.
        again: Whether its first order is asked a second time.
    """

    kind: DuelKind
    study: Study
    left: str
    right: str
    left_text: str
    right_text: str
    informed: bool = True
    again: bool = False

    @cached_property
    def alike(self) -> bool:
        """Whether both are the same to a judge."""
        return plain(self.left_text) == plain(self.right_text)

    @property
    def longer(self) -> Literal["left", "right", ""]:
        """Which is longer by a tenth or more, in words."""
        left, right = len(self.left_text.split()), len(self.right_text.split())
        if max(left, right) < _UNLIKE * max(min(left, right), 1):
            return ""
        return "left" if left > right else "right"


@dataclass(frozen=True)
class Grading:
    """One report to be graded.

    Attributes:
        study: The study.
        subject: Whose report it is.
        text: The report.
    """

    study: Study
    subject: str
    text: str


@dataclass(frozen=True)
class Question:
    """One question to a judge.

    Attributes:
        id: Digits of all that makes the answer.
        form: What is read from the answer.
        prompt: The words.
        seed: What the server is told to draw by.
        about: What it is about, for the file of verdicts.
    """

    id: str
    form: Form
    prompt: str
    seed: int
    about: dict[str, str | bool]


@dataclass(frozen=True)
class Plan:
    """All that is asked.

    Attributes:
        duels: The pairs.
        gradings: The single reports.
        judge: The judge's name, part of every id.
        max_tokens: Longest answer, part of every id.
        seed: Sent along with every question, and part of its id.
    """

    duels: Sequence[Duel]
    gradings: Sequence[Grading]
    judge: str
    max_tokens: int
    seed: int

    def of_duel(self, duel: Duel) -> list[Question]:
        """Returns a duel's questions: both orders, and the first again where that is wished; none if both are alike.

        Args:
            duel: The duel.
        """
        orders = [(False, False), (True, False), *([(False, True)] if duel.again else [])]
        return [] if duel.alike else [self._compare(duel, flipped=flipped, again=again) for flipped, again in orders]

    def of_grading(self, grading: Grading) -> Question:
        """Returns the question for grades.

        Args:
            grading: What is graded.
        """
        prompt = prompts.rubric(grading.text, reference=grading.study.reference)
        return self._question(
            "grades", prompt, self.seed, {"kind": "rubric", "key": grading.study.key, "left": grading.subject}
        )

    def questions(self) -> list[Question]:
        """Returns all questions, each once, study by study: a sample that is broken off is a smaller sample."""
        by_study: dict[str, list[Question]] = {}
        for duel in self.duels:
            by_study.setdefault(duel.study.key, []).extend(self.of_duel(duel))
        for grading in self.gradings:
            by_study.setdefault(grading.study.key, []).append(self.of_grading(grading))
        return list({each.id: each for questions in by_study.values() for each in questions}.values())

    def _compare(self, duel: Duel, *, flipped: bool, again: bool) -> Question:
        first, second = (duel.left_text, duel.right_text)[:: -1 if flipped else 1]
        prompt = prompts.duel(first, second, reference=duel.study.reference if duel.informed else None)
        about: dict[str, str | bool] = {
            "kind": duel.kind, "key": duel.study.key, "left": duel.left, "right": duel.right, "flipped": flipped,
            "again": again,
        }  # fmt: skip
        # At temperature 0 another seed changes nothing, unless the server draws all the same.
        return self._question("choice", prompt, self.seed + again, about)

    def _question(self, form: Form, prompt: str, seed: int, about: dict[str, str | bool]) -> Question:
        words = json.dumps([self.judge, self.max_tokens, seed, prompt, prompts.AGAIN])
        return Question(hashlib.sha256(words.encode()).hexdigest()[:24], form, prompt, seed, about)


def plan_questions(
    material: Material, *, judge: str, max_tokens: int, seed: int, again: float, rubric: bool, swapped: bool
) -> Plan:
    """Plans what is asked.

    Args:
        material: What there is to judge.
        judge: The judge's name.
        max_tokens: Its longest answer.
        seed: Seed of all that is drawn.
        again: Share of duels asked a second time.
        rubric: Whether reports are graded.
        swapped: Whether answers to the own image meet those to another's.
    """
    studies = [material.pool[key] for key in material.sample]
    duels = [
        duel
        for study in studies
        for duel in _duels(study, material, again=again, seed=seed, swapped=swapped)
    ]  # fmt: skip
    gradings = [
        Grading(study, system.name, system.own[study.key]) for study in studies for system in material.systems
    ] + [Grading(duel.study, STRANGER, duel.right_text) for duel in duels if duel.kind == "stranger"]
    return Plan(duels, gradings if rubric else [], judge, max_tokens, seed)


def _duels(study: Study, material: Material, *, again: float, seed: int, swapped: bool) -> Iterator[Duel]:
    def draw(kind: DuelKind, left: str, right: str) -> bool:
        return random.Random(f"{seed} {study.key} {kind} {left} {right}").random() < again

    def duel(kind: DuelKind, left: tuple[str, str], right: tuple[str, str], *, informed: bool = True) -> Duel:
        repeat = draw(kind, left[0], right[0])
        return Duel(kind, study, left[0], right[0], left[1], right[1], informed, again=repeat)

    key, truth = study.key, (TRUTH, study.reference)
    for system in material.systems:
        yield duel("truth", _own(system, key), (RADIOLOGIST, study.reference), informed=False)
        if swapped and key in system.swapped:
            yield duel("swapped", _own(system, key), (f"{system.name}, another image", system.swapped[key]))
    for first, second in combinations(material.systems, 2):
        yield duel("models", _own(first, key), _own(second, key))
    stranger, false = _stranger(study, material, seed), corrupt(study.reference)
    if stranger is not None:
        yield duel("stranger", truth, (STRANGER, stranger.reference))
    if false is not None:
        yield duel("corrupted", truth, (CORRUPTED, false[0]))


def _own(system: System, key: str) -> tuple[str, str]:
    return system.name, system.own[key]


def _stranger(study: Study, material: Material, seed: int) -> Study | None:
    """Returns a study of another patient with other findings; half the time a longer report, half a shorter one.

    So length says nothing about which of the two is true, and who follows length is found out.
    """
    generator = random.Random(f"{seed} {study.key} stranger")
    words, wants_longer = len(study.reference.split()), generator.random() < 0.5
    others = [each for each in material.pool.values() if each.patient != study.patient and each.truth != study.truth]
    unlike = [
        each
        for each in others
        if (len(each.reference.split()) >= _UNLIKE * words) == wants_longer
        and max(words, len(each.reference.split())) >= _UNLIKE * max(min(words, len(each.reference.split())), 1)
    ]
    return generator.choice(unlike or others) if others else None
