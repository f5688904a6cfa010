"""How far two models are apart, how sure that is, and whether the score needs the image at all.

Enters questions; leaves for each the difference with its bootstrap interval, the p value of a permutation test, and
the same corrected for how much was asked: by Holm for the scores, of which each is a claim, and by Benjamini and
Hochberg for findings, observations and views, of which there are many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cxr_lightning.evaluation.compare.pairs import Pairs
from cxr_lightning.evaluation.compare.questions import Family, Question, Reading, ask
from cxr_lightning.scoring.bootstrap import FEWEST_PATIENTS, Score, paired_difference
from cxr_lightning.scoring.significance import benjamini_hochberg, holm, permutation_test

FAMILIES: dict[Family, Literal["Holm", "Benjamini-Hochberg"]] = {
    "scores": "Holm",
    "image": "Holm",
    "findings": "Benjamini-Hochberg",
    "observations": "Benjamini-Hochberg",
    "views": "Benjamini-Hochberg",
}
"""How each family of questions is corrected."""

SURE = 0.05
"""A corrected p value below this is called sure."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One question, answered.

    Attributes:
        family: What it is corrected together with.
        rival: Letter of the model that is compared with the first.
        name: The score, the finding or the observation.
        title: The same in tables.
        view: The views of the studies it is about; empty for all.
        better: Whether more of it is better.
        first: The first model's score.
        second: The rival's.
        gap: The rival's score minus the first model's, with its interval.
        p: Two-sided p value.
        exact: Whether all ways of exchanging were tried for it.
        corrected: The p value, corrected within its family.
        support: In how many studies the finding is there; None for scores.
    """

    family: Family
    rival: str
    name: str
    title: str
    view: str
    better: Literal["higher", "lower"]
    first: float
    second: float
    gap: Score
    p: float
    exact: bool
    corrected: float
    support: int | None

    @property
    def sure(self) -> bool:
        """Whether chance, asked this often, would hardly make a difference as large."""
        return self.corrected < SURE

    @property
    def winner(self) -> str:
        """Which is surely better: "first", "rival", or "" where nothing is sure."""
        if not self.sure or self.gap.value == 0:
            return ""
        return "rival" if (self.gap.value > 0) == (self.better == "higher") else "first"


@dataclass(frozen=True, slots=True)
class Need:
    """What a model's score loses when it is shown another patient's image.

    Attributes:
        letter: The model.
        name: The score.
        title: The same in tables.
        loss: Its score with its own image minus that with another, with its interval.
        p: Two-sided p value of there being no loss.
        corrected: The same, corrected over all models and scores (Holm).
        better: Whether more of the score is better.
        patients: Over how many patients.
    """

    letter: str
    name: str
    title: str
    loss: Score
    p: float
    corrected: float
    better: Literal["higher", "lower"]
    patients: int

    @property
    def looks(self) -> bool:
        """Whether the score surely needs the image; of few patients an evaluation does not say so either."""
        return (
            self.patients >= FEWEST_PATIENTS
            and self.corrected < SURE
            and (self.loss.value > 0) == (self.better == "higher")
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found.

    Attributes:
        pairs: The models and their studies.
        differences: Answers to all questions.
        needs: What every score of every model loses without the right image; empty where that was not evaluated.
        draws: Draws of the bootstrap.
        permutations: Most exchanges of a permutation test.
        seed: Seed of both.
    """

    pairs: Pairs
    differences: tuple[Difference, ...]
    needs: tuple[Need, ...]
    draws: int
    permutations: int
    seed: int

    def of(self, family: Family, rival: str = "") -> list[Difference]:
        """Returns the answers of a family.

        Args:
            family: Which.
            rival: Of this model only; of all if empty.
        """
        return [each for each in self.differences if each.family == family and rival in ("", each.rival)]


def compare_models(
    reading: Reading,
    *,
    draws: int = 1000,
    permutations: int = 10_000,
    seed: int = 0,
    watched: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Comparison:
    """Answers every question.

    Args:
        reading: The models' statistics.
        draws: Draws of the bootstrap.
        permutations: Most exchanges of a permutation test.
        seed: Seed of both.
        watched: Passes on what it is given, and may show how far it is.
    """
    settings = {"draws": draws, "permutations": permutations, "seed": seed}
    asked = list(ask(reading))
    losses = _ask_needs(reading)
    found = [_answer(each, **settings) for each in watched([*asked, *losses])]
    differences, needs = found[: len(asked)], found[len(asked) :]
    return Comparison(reading.pairs, _corrected(differences), _needs(needs, len(set(reading.patients))), **settings)


def _ask_needs(reading: Reading) -> list[Question]:
    """Asks of every model itself whether it loses by another image: own is second, so that the gap is what it loses."""
    if not reading.pairs.answered("swapped"):
        return []
    return [
        Question(
            family="image",
            rival=model.letter,
            name=scorer.name,
            title=scorer.title,
            view="",
            better=scorer.better,
            first=reading.of(scorer, model, "swapped"),
            second=reading.of(scorer, model),
            score_of=scorer.score_of,
            patients=reading.patients,
        )
        for model in reading.pairs.models
        for scorer in reading.scorers
    ]


def _answer(question: Question, *, draws: int, permutations: int, seed: int) -> Difference:
    first, second, score_of, patients = question.first, question.second, question.score_of, question.patients
    gap = paired_difference(second, first, score_of, patients=patients, draws=draws, seed=seed)
    chance = permutation_test(first, second, score_of, patients=patients, draws=permutations, seed=seed)
    return Difference(
        family=question.family,
        rival=question.rival,
        name=question.name,
        title=question.title,
        view=question.view,
        better=question.better,
        first=float(score_of(first.sum(axis=0, keepdims=True))[0]),
        second=float(score_of(second.sum(axis=0, keepdims=True))[0]),
        gap=gap,
        p=chance.p,
        exact=chance.exact,
        corrected=chance.p,
        support=question.support,
    )


def _corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Corrects each family by its method, over all rivals: each is one more question."""
    corrected = list(differences)
    for family, method in FAMILIES.items():
        places = [place for place, each in enumerate(differences) if each.family == family]
        correct = holm if method == "Holm" else benjamini_hochberg
        for place, p in zip(places, correct([differences[place].p for place in places]), strict=True):
            corrected[place] = replace(differences[place], corrected=float(p))
    return tuple(corrected)


def _needs(answers: Sequence[Difference], patients: int) -> tuple[Need, ...]:
    corrected = holm([each.p for each in answers])
    return tuple(
        Need(each.rival, each.name, each.title, each.gap, each.p, float(p), each.better, patients)
        for each, p in zip(answers, corrected, strict=True)
    )
