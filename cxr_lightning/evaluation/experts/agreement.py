"""How far readers agree with each other, and with themselves when a study comes back.

Enters judgements; leaves kappas with intervals by patient. Where two readers judged, Cohen's; where more did, Fleiss'
for what is yes or no, and for scores the mean of the pairs' weighted kappas, since 4 for 5 is no great disagreement.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.experts.answers import Judgement
from cxr_lightning.evaluation.experts.rubric import ERRORS
from cxr_lightning.scoring.bootstrap import ScoreOf, interval
from cxr_lightning.scoring.kappa import cohen, fleiss, many_rows, pair_rows

Report = Mapping[str, Judgement]
"""One report of one study, by reader."""
CategoryOf = Callable[[Judgement], int]

_LEVELS = 5


def agreement(judgements: Sequence[Judgement], *, draws: int, seed: int) -> dict[str, Any]:
    """Says how far readers agree on the reports that more than one of them judged.

    Args:
        judgements: What readers said, first looks.
        draws: Draws of the bootstrap.
        seed: Its seed.

    Returns:
        Reports and readers; kappa of accuracy, of scores and of each kind of error, with intervals, and the share of
        pairs that say the same. Empty where no report has two readers. A kappa is None where all say the same.
    """
    found: dict[Hashable, dict[str, Judgement]] = {}
    for each in judgements:
        found.setdefault(each.report, {})[each.reader] = each
    reports = [report for report in found.values() if len(report) > 1]
    if not reports:
        return {}
    readers = sorted({reader for report in reports for reader in report})
    options: dict[str, Any] = {
        "patients": [next(iter(report.values())).patient for report in reports],
        "draws": draws,
        "seed": seed,
    }
    yes_or_no: dict[str, CategoryOf] = {"accurate": lambda each: int(each.accurate)}
    for error in ERRORS:
        yes_or_no[error.name] = lambda each, name=error.name: int(name in each.errors)  # type: ignore[misc]
    result: dict[str, Any] = {
        "reports": len(reports),
        "readers": readers,
        "kappa": "Cohen" if len(readers) == 2 else "Fleiss",
    }
    for name, category_of in yes_or_no.items():
        rows, score_of = _yes_or_no(reports, readers, category_of)
        kappa = interval(rows, score_of, **options)
        result[name] = {**kappa.to_json(), "same": _same(reports, category_of, 0)}
    scores = interval(_pairs(reports, readers, _level, _LEVELS), _mean_of_pairs, **options)
    near = _same(reports, _level, 1)
    result["score"] = {**scores.to_json(), "same": _same(reports, _level, 0), "within_one": near}
    return result


def repeats(judgements: Sequence[Judgement]) -> dict[str, dict[str, Any]]:
    """Says how far each reader agrees with themselves on studies that were shown twice.

    Args:
        judgements: All that readers said, first and second looks.

    Returns:
        By reader: reports judged twice, kappas, share judged the same, mean distance of scores. With so few they are a
        hint, hence without an interval.
    """
    result = {}
    for reader in sorted({each.reader for each in judgements}):
        mine = [each for each in judgements if each.reader == reader]
        first = {each.report: each for each in mine if not each.again}
        pairs = [(first[each.report], each) for each in mine if each.again and each.report in first]
        if not pairs:
            continue
        result[reader] = {
            "reports": len(pairs),
            "accurate": _kappa([(int(one.accurate), int(two.accurate)) for one, two in pairs], 2),
            "score": _kappa([(_level(one), _level(two)) for one, two in pairs], _LEVELS),
            "same_accurate": float(np.mean([one.accurate == two.accurate for one, two in pairs])),
            "same_score": float(np.mean([one.score == two.score for one, two in pairs])),
            "score_distance": float(np.mean([abs(one.score - two.score) for one, two in pairs])),
        }
    return result


def disagreements(judgements: Sequence[Judgement], most: int) -> list[list[Judgement]]:
    """Finds the reports that readers disagree on most.

    Args:
        judgements: What readers said, first looks.
        most: How many reports.

    Returns:
        For each such report what was said, lowest score first; reports whose scores lie farthest apart come first.
    """
    found: dict[Hashable, list[Judgement]] = {}
    for each in judgements:
        found.setdefault(each.report, []).append(each)
    apart = {
        report: (max(each.score for each in said) - min(each.score for each in said), len({e.accurate for e in said}))
        for report, said in found.items()
    }
    ranked = sorted((report for report in found if apart[report] > (1, 1)), key=lambda at: (*apart[at], at))
    return [sorted(found[report], key=lambda each: each.score) for report in ranked[::-1][:most]]


def _level(judgement: Judgement) -> int:
    return judgement.score - 1


def _yes_or_no(
    reports: Sequence[Report], readers: Sequence[str], category_of: CategoryOf
) -> tuple[NDArray[np.float64], ScoreOf]:
    if len(readers) == 2:
        return _pairs(reports, readers, category_of, 2)[:, 0], cohen
    return many_rows([[category_of(each) for each in report.values()] for report in reports], 2), fleiss


def _pairs(
    reports: Sequence[Report], readers: Sequence[str], category_of: CategoryOf, categories: int
) -> NDArray[np.float64]:
    """Returns contingency rows (N, P, K, K) of each pair of readers; zeros where one of them did not judge."""
    pairs = list(combinations(readers, 2))
    rows = np.zeros((len(reports), len(pairs), categories, categories))
    for number, report in enumerate(reports):
        for place, (first, second) in enumerate(pairs):
            if first in report and second in report:
                given = [category_of(report[reader]) for reader in (first, second)]
                rows[number, place] = pair_rows(given[:1], given[1:], categories)[0]
    return rows


def _mean_of_pairs(sums_DPKK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes the mean of the pairs' quadratically weighted kappas, of those that are defined."""
    kappas_PD = np.stack([cohen(sums_DPKK[:, pair], "quadratic") for pair in range(sums_DPKK.shape[1])])
    known_PD = np.isfinite(kappas_PD)
    count_D = known_PD.sum(axis=0)
    total_D = np.where(known_PD, kappas_PD, 0.0).sum(axis=0)
    return np.where(count_D > 0, total_D / np.maximum(count_D, 1), np.nan)


def _same(reports: Sequence[Report], category_of: CategoryOf, apart: int) -> float:
    """Returns the share of reader pairs whose categories are so far apart at most."""
    pairs = [
        abs(category_of(one) - category_of(two)) <= apart
        for report in reports
        for one, two in combinations(report.values(), 2)
    ]
    return float(np.mean(pairs))


def _kappa(pairs: Sequence[tuple[int, int]], categories: int) -> float | None:
    rows = pair_rows([one for one, _ in pairs], [two for _, two in pairs], categories)
    kappa = float(cohen(rows.sum(axis=0, keepdims=True), "quadratic")[0])
    return kappa if np.isfinite(kappa) else None
