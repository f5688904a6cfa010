"""What is asked of two models: which of their answers' statistics are compared, and by which score.

Enters models side by side; leaves one `Question` a score, a score's need of the image, a finding, an observation and a
score within a view. Texts are read once, whatever is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.compare.pairs import Evaluated, Pairs
from cxr_lightning.evaluation.page.words import say_label
from cxr_lightning.findings.located import LABELS
from cxr_lightning.findings.observations import OBSERVATIONS
from cxr_lightning.scoring.bootstrap import ScoreOf, Sums, fixed
from cxr_lightning.scoring.labels import HIT, MISSED, micro_f1
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Scorer, Texts

Family = Literal["scores", "image", "findings", "observations", "views"]
"""Questions that are corrected together: the scores, their need of the image, findings, observations, and views."""

Statistics = NDArray[Any]

# Read from the registry by the name of a score whose statistics are counts (N, L, 3) of these labels.
_COUNTS: dict[Family, tuple[str, tuple[str, ...]]] = {
    "findings": ("findings_micro_f1", LABELS),
    "observations": ("observations_micro_f1", OBSERVATIONS),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One score of two models on the same studies.

    Attributes:
        family: What it is corrected together with.
        rival: Letter of the model that is compared with the first.
        name: The score, the finding or the observation.
        title: The same in tables.
        view: The views of the studies it is about; empty for all.
        better: Whether more of it is better.
        first: Statistics (N, ...) of the first model.
        second: Those of the rival.
        score_of: From their sums (D, ...) to scores (D).
        patients: Patient of each study.
        support: In how many studies the finding is there; None for scores.
    """

    family: Family
    rival: str
    name: str
    title: str
    view: str
    better: Literal["higher", "lower"]
    first: Statistics
    second: Statistics
    score_of: ScoreOf
    patients: list[str]
    support: int | None = None


class Reading:
    """The statistics of all models, each text read once."""

    def __init__(self, pairs: Pairs, scorers: Sequence[Scorer] = SCORERS) -> None:
        """Takes the models.

        Args:
            pairs: The models and their answers.
            scorers: The scores to compare them by.
        """
        self.pairs = pairs
        self.scorers = tuple(scorers)
        self.patients = pairs.patients
        self._texts: dict[tuple[str, str], Texts] = {}
        self._read: dict[tuple[Callable[[Texts], Statistics], str, str], Statistics] = {}

    def of(self, scorer: Scorer, model: Evaluated, condition: str = "own") -> Statistics:
        """Returns a score's statistics (N, ...) of a model.

        Args:
            scorer: The score. Those that share statistics read texts once.
            model: The model.
            condition: Whose image it was shown.
        """
        which = (model.letter, condition)
        if which not in self._texts:
            self._texts[which] = self.pairs.texts(model, condition)
        place = (scorer.statistics, *which)
        if place not in self._read:
            self._read[place] = np.asarray(scorer.statistics(self._texts[which]), dtype=np.float64)
        return self._read[place]


def ask(reading: Reading) -> Iterator[Question]:
    """Asks everything of every rival.

    Args:
        reading: The models' statistics.

    Yields:
        The questions, rival by rival.
    """
    views = reading.pairs.views
    swapped = reading.pairs.answered("swapped")
    for rival in reading.pairs.rivals:
        for scorer in reading.scorers:
            first, second = reading.of(scorer, reading.pairs.first), reading.of(scorer, rival)
            yield _score(scorer, rival, first, second, reading.patients)
            yield from _by_view(scorer, rival, first, second, reading.patients, views)
            if swapped:
                yield _need(scorer, rival, reading)
        for family, (name, labels) in _COUNTS.items():
            yield from _by_label(family, name, labels, rival, reading)


def need_statistics(reading: Reading, scorer: Scorer, model: Evaluated) -> Statistics:
    """Lays a model's answers to its own and to other images side by side.

    Args:
        reading: The models' statistics.
        scorer: The score.
        model: The model.

    Returns:
        Statistics (N, 2, ...): own image, another patient's.
    """
    return np.stack([reading.of(scorer, model), reading.of(scorer, model, "swapped")], axis=1)


def need_of(score_of: ScoreOf) -> ScoreOf:
    """Makes of a score what it loses without the right image.

    Args:
        score_of: The score.

    Returns:
        From sums (D, 2, ...) of `need_statistics` to own minus swapped (D).
    """
    return _Need(score_of, score_of)


@dataclass(frozen=True, slots=True)
class _Need:
    """One score less the other, each of which may ask for the sums of all studies (`labels.MacroF1`)."""

    own: ScoreOf
    swapped: ScoreOf

    def __call__(self, sums: Sums) -> Sums:
        return self.own(sums[:, 0]) - self.swapped(sums[:, 1])

    def over(self, total: Sums) -> _Need:
        return _Need(fixed(self.own, total[:, 0]), fixed(self.swapped, total[:, 1]))


def _score(
    scorer: Scorer, rival: Evaluated, first: Statistics, second: Statistics, patients: list[str], view: str = ""
) -> Question:
    family: Family = "views" if view else "scores"
    return Question(
        family, rival.letter, scorer.name, scorer.title, view, scorer.better, first, second, scorer.score_of, patients
    )


def _by_view(
    scorer: Scorer,
    rival: Evaluated,
    first: Statistics,
    second: Statistics,
    patients: list[str],
    views: list[str],
) -> Iterator[Question]:
    """Asks within each view, where there is more than one; a view of one patient shows nothing."""
    names = sorted(set(views))
    for view in names if len(names) > 1 else ():
        there = np.array([each == view for each in views])
        own = [patient for patient, is_there in zip(patients, there, strict=True) if is_there]
        if len(set(own)) > 1:
            yield _score(scorer, rival, first[there], second[there], own, view)


def _need(scorer: Scorer, rival: Evaluated, reading: Reading) -> Question:
    first, second = (need_statistics(reading, scorer, model) for model in (reading.pairs.first, rival))
    score_of = need_of(scorer.score_of)
    return Question(
        "image", rival.letter, scorer.name, scorer.title, "", scorer.better, first, second, score_of, reading.patients
    )


def _by_label(
    family: Family, name: str, labels: tuple[str, ...], rival: Evaluated, reading: Reading
) -> Iterator[Question]:
    """Asks for each finding that is there in some study; F1 of one that never is says nothing about seeing it."""
    scorer = next((scorer for scorer in reading.scorers if scorer.name == name), None)
    if scorer is None:
        return
    first, second = reading.of(scorer, reading.pairs.first), reading.of(scorer, rival)
    for place, label in enumerate(labels):
        support = int(first[:, place, [HIT, MISSED]].sum())
        if support:
            pair = first[:, [place]], second[:, [place]]
            yield Question(
                family, rival.letter, label, say_label(label), "", "higher", *pair, _f1, reading.patients, support
            )


def _f1(sums: Sums) -> NDArray[np.float64]:
    """Scores one label (D, 1, 3); a resample without it tells nothing and is left out of the interval."""
    there = sums[:, 0, HIT] + sums[:, 0, MISSED] > 0
    return np.where(there, micro_f1(sums), np.nan)
