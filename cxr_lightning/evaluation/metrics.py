"""All numbers of one evaluation: every score on the model's own images, on other ones, and without looking.

Enters the studies and the answers of each variant; leaves one table of plain numbers for metrics.json, each with its
interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.scoring.bootstrap import Score, interval, paired_difference
from cxr_lightning.scoring.labels import LabelScore, count_labels, score_labels
from cxr_lightning.scoring.observations import METHOD, per_observation
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Scorer, Texts
from cxr_lightning.scoring.significance import permutation_test

VARIANTS = {"own": "", "swapped": "_swapped", "blank": "_blank", "commonest": "_commonest"}
"""What was answered, and how the name of its score ends. "commonest" always answers the commonest training text."""


def measure(
    cases: Sequence[Case],
    answers: Mapping[str, Sequence[str]],
    *,
    scorers: Sequence[Scorer] = SCORERS,
    draws: int = 1000,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Scores the answers of every variant.

    Args:
        cases: The studies.
        answers: Answers of each variant (a key of `VARIANTS`), in the order of the studies; "own" must be there.
        scorers: The scores.
        draws: Bootstrap draws.
        seed: Seed of the draws.
        advance: Called after each score.

    Returns:
        Plain numbers, ready for JSON: each score under its name and ending, `intervals` by the same names (ends None
        where not known), paired `differences` to the own image (those of the headline with `p` of a permutation test),
        and the tables `per_finding` and `per_observation`.
    """
    patients = [case.patient for case in cases]
    how: dict[str, Any] = {"patients": patients, "draws": draws, "seed": seed}
    texts = {variant: texts_of(cases, answers[variant]) for variant in VARIANTS if variant in answers}
    leading = headline(cases)
    values: dict[str, float | None] = {}
    intervals: dict[str, list[float | None]] = {}
    differences: dict[str, dict[str, float | int | None]] = {}
    for scorer in scorers:
        statistics = {variant: scorer.statistics(each) for variant, each in texts.items()}
        for variant, rows in statistics.items():
            name, score = scorer.name + VARIANTS[variant], interval(rows, scorer.score_of, **how)
            values[name], intervals[name] = score.to_json()["value"], score.ends
            if variant != "own":
                gap = paired_difference(statistics["own"], rows, scorer.score_of, **how).to_json()
                if scorer.name == leading:
                    gap["p"] = permutation_test(
                        statistics["own"], rows, scorer.score_of, patients=patients, seed=seed
                    ).p
                differences[f"{scorer.name}_own_minus{VARIANTS[variant]}"] = gap
        advance()
    own = texts["own"]
    counts = count_labels(own.truths, [find(answer) for answer in own.answers])
    table = score_labels(counts, labels=LABELS, **how)
    return {
        "studies": len(cases),
        "patients": len(set(patients)),
        "headline": leading,
        **values,
        "intervals": intervals,
        "differences": differences,
        "per_finding": {row.label: _plain(row) for row in table},
        "per_observation": per_observation(own, patients, draws=draws, seed=seed),
        "method": _method(cases, draws),
    }


def headline(cases: Sequence[Case]) -> str:
    """Chooses the score that the verdict is about.

    Args:
        cases: The studies.

    Returns:
        The located findings where they are known to be true, else the 14 observations, which real reports speak of.
    """
    known = sum(case.labels is not None for case in cases)
    return "findings_micro_f1" if 2 * known > len(cases) else "observations_micro_f1"


def texts_of(cases: Sequence[Case], answers: Sequence[str]) -> Texts:
    """Lays answers beside what they should have said.

    Args:
        cases: The studies.
        answers: Their answers, in the same order.
    """
    return Texts([case.reference for case in cases], answers, [case.truth for case in cases])


def score_in(metrics: Mapping[str, Any], name: str) -> Score:
    """Takes a score with its interval out of the table again.

    Args:
        metrics: What `measure` returned, or metrics.json.
        name: Name with ending, such as "findings_micro_f1_swapped".

    Returns:
        The score; NaN where it is not known.
    """
    ends = (metrics[name], *metrics["intervals"][name])
    value, low, high = (math.nan if each is None else float(each) for each in ends)
    return Score(value, low, high, metrics["studies"])


def _plain(row: LabelScore) -> dict[str, Any]:
    return {
        "f1": row.f1.to_json()["value"],
        "interval": row.f1.ends,
        "support": row.support,
        "hits": row.hits,
        "invented": row.invented,
        "missed": row.missed,
    }


def _method(cases: Sequence[Case], draws: int) -> dict[str, str | int]:
    """Says how the numbers came about, since numbers of other methods must not stand beside them."""
    known = sum(case.labels is not None for case in cases)
    return {
        "labeler": "cxr_lightning rules over 21 located labels; not CheXbert, not CheXpert",
        "observations": METHOD,
        "truth": f"known labels in {known} studies, read from the reference in {len(cases) - known}",
        "interval": f"95 % percentile bootstrap over patients, {draws} draws; none where all draws say the same",
        "decoding": "greedy",
    }
