"""What readers found of each system: means, shares and differences, each with an interval by patient.

Enters judgements; leaves numbers for experts.json and the page. Of a study that a reader saw twice only the first look
counts here. Intervals are about other patients read by these readers; about other readers, a few readers cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.experts.answers import Judgement
from cxr_lightning.evaluation.experts.rubric import ERRORS
from cxr_lightning.scoring.bootstrap import Score, interval, paired_difference, ratio_of_sums
from cxr_lightning.scoring.significance import holm, permutation_test

ValueOf = Callable[[Judgement], float]

SCORES = range(1, 6)

_COMPARED: dict[str, ValueOf] = {
    "score": lambda judgement: float(judgement.score),
    "accurate": lambda judgement: float(judgement.accurate),
}


def summarise(judgements: Sequence[Judgement], systems: Sequence[str], *, draws: int, seed: int) -> dict[str, Any]:
    """Says how each system was judged.

    Args:
        judgements: What readers said, first looks.
        systems: The systems, in the order of tables.
        draws: Draws of the bootstrap.
        seed: Its seed.

    Returns:
        By system: studies, judgements, mean score, share accurate, shares by kind of error, and how scores and seconds
        lie. A system of which nothing was judged is left out.
    """
    found = {system: [each for each in judgements if system in each.systems] for system in systems}
    return {system: _system(of, draws, seed) for system, of in found.items() if of}


def differences(
    judgements: Sequence[Judgement], systems: Sequence[str], *, draws: int, seed: int
) -> list[dict[str, Any]]:
    """Compares every two systems on the studies and readers that judged both.

    Args:
        judgements: What readers said, first looks.
        systems: The systems.
        draws: Draws of the bootstrap, and a tenth of the exchanges of the permutation test.
        seed: Seed of both.

    Returns:
        For scores and for accuracy, each pair: first minus second with its interval, and p values, plain and corrected
        for the number of pairs (Holm).
    """
    rows = []
    for measure, value_of in _COMPARED.items():
        of_measure: list[dict[str, Any]] = []
        for first, second in combinations(systems, 2):
            both = _both(judgements, first, second)
            if not both:
                continue
            patient = {each.study: each.patient for each, _ in both}
            studies = sorted(patient)
            patients = [patient[study] for study in studies]
            one, two = (_rows([pair[side] for pair in both], studies, value_of) for side in (0, 1))
            gap = paired_difference(one, two, ratio_of_sums, patients=patients, draws=draws, seed=seed)
            chance = permutation_test(one, two, ratio_of_sums, patients=patients, draws=10 * draws, seed=seed)
            row = {"first": first, "second": second, "measure": measure, **gap.to_json()}
            of_measure.append({**row, "p": chance.p, "exact": chance.exact})
        for row, corrected in zip(of_measure, holm([row["p"] for row in of_measure]), strict=True):
            rows.append({**row, "p_holm": float(corrected)})
    return rows


def by_label(judgements: Sequence[Judgement]) -> dict[str, dict[str, float]]:
    """Says how the reports called A, B, C were judged: the shuffle should have made them alike.

    Args:
        judgements: What readers said, first looks.

    Returns:
        By label: mean score and how many.
    """
    labels = sorted({each.label for each in judgements})
    scores = {label: [each.score for each in judgements if each.label == label] for label in labels}
    return {label: {"score": float(np.mean(of)), "judgements": len(of)} for label, of in scores.items()}


def _system(judgements: Sequence[Judgement], draws: int, seed: int) -> dict[str, Any]:
    patient = {each.study: each.patient for each in judgements}
    studies = sorted(patient)
    patients = [patient[study] for study in studies]

    def mean(value_of: ValueOf) -> Score:
        rows = _rows(judgements, studies, value_of)
        return interval(rows, ratio_of_sums, patients=patients, draws=draws, seed=seed)

    def share(value_of: ValueOf) -> dict[str, Any]:
        return mean(value_of).exact(len(set(patients))).to_json()

    return {
        "studies": len(studies),
        "patients": len(set(patients)),
        "judgements": len(judgements),
        "score": mean(lambda each: each.score).to_json(),
        "accurate": share(lambda each: each.accurate),
        "errors": {error.name: share(lambda each, name=error.name: name in each.errors) for error in ERRORS},  # type: ignore[misc]
        "scores": {str(score): sum(each.score == score for each in judgements) for score in SCORES},
        "seconds_median": median(each.seconds for each in judgements),
    }


def _rows(judgements: Sequence[Judgement], studies: Sequence[str], value_of: ValueOf) -> NDArray[np.float64]:
    """Adds up the readers of each study: (N, 2), sum and count, whose ratio is a mean over judgements."""
    place = {study: number for number, study in enumerate(studies)}
    rows = np.zeros((len(studies), 2))
    for each in judgements:
        rows[place[each.study]] += (value_of(each), 1.0)
    return rows


def _both(judgements: Sequence[Judgement], first: str, second: str) -> list[tuple[Judgement, Judgement]]:
    """Pairs what a reader said of two systems' reports of one study; one text of both is a pair with itself."""
    said: Mapping[str, dict[tuple[str, str], Judgement]] = {
        system: {(each.reader, each.study): each for each in judgements if system in each.systems}
        for system in (first, second)
    }
    return [(one, said[second][at]) for at, one in said[first].items() if at in said[second]]
