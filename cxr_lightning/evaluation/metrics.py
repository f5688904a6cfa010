"""All numbers of one evaluation: every score on the model's own images, on other ones, and without looking.

Enters the studies and the answers of each variant; leaves one table of plain numbers for metrics.json, each with its
interval, and a sentence that says how much of the score the image is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.bootstrap import Score, ScoreOf, interval, paired_difference, ratio_of_sums
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.findings import LABELS, find
from cxr_lightning.evaluation.overlap import bleu, bleu_statistics, rouge_statistics
from cxr_lightning.evaluation.scores import LabelScore, count_labels, macro_f1, micro_f1, score_labels

Statistics = Callable[[Sequence[Case], Sequence[str]], NDArray[Any]]
"""From studies and answers to additive statistics (N, ...)."""

VARIANTS = {"own": "", "swapped": "_swapped", "blank": "_blank", "commonest": "_commonest"}
"""What was answered, and how the name of its score ends. "commonest" always answers the commonest training text."""


def _finding_statistics(cases: Sequence[Case], answers: Sequence[str]) -> NDArray[np.int64]:
    return count_labels([case.truth for case in cases], [find(answer) for answer in answers])


def _rouge_statistics(cases: Sequence[Case], answers: Sequence[str]) -> NDArray[np.float64]:
    return rouge_statistics([case.reference for case in cases], answers)


def _bleu_statistics(cases: Sequence[Case], answers: Sequence[str]) -> NDArray[np.float64]:
    return bleu_statistics([case.reference for case in cases], answers)


SCORES: dict[str, tuple[Statistics, ScoreOf]] = {
    "findings_micro_f1": (_finding_statistics, micro_f1),
    "findings_macro_f1": (_finding_statistics, macro_f1),
    "rouge_l": (_rouge_statistics, ratio_of_sums),
    "bleu_4": (_bleu_statistics, bleu),
}
"""The scores. A new one is a row: what adds up over studies, and how the sums become a number."""


def measure(
    cases: Sequence[Case], answers: Mapping[str, Sequence[str]], *, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Scores the answers of every variant.

    Args:
        cases: The studies.
        answers: Answers of each variant (a key of `VARIANTS`), in the order of the studies; "own" must be there.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        Plain numbers, ready for JSON: each score under its name and ending, `intervals` by the same names, paired
        `differences` to the own image, and the table `per_finding`.
    """
    patients = [case.patient for case in cases]
    values: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    differences: dict[str, dict[str, float]] = {}
    for name, (statistics_of, score_of) in SCORES.items():
        statistics = {variant: statistics_of(cases, answers[variant]) for variant in VARIANTS if variant in answers}
        for variant, rows in statistics.items():
            score = interval(rows, score_of, patients=patients, draws=draws, seed=seed)
            values[name + VARIANTS[variant]] = score.value
            intervals[name + VARIANTS[variant]] = [score.low, score.high]
            if variant != "own":
                difference = paired_difference(
                    statistics["own"], rows, score_of, patients=patients, draws=draws, seed=seed
                )
                differences[f"{name}_own_minus{VARIANTS[variant]}"] = asdict(difference)
    counts = _finding_statistics(cases, answers["own"])
    table = score_labels(counts, patients=patients, labels=LABELS, draws=draws, seed=seed)
    return {
        "studies": len(cases),
        "patients": len(set(patients)),
        **values,
        "intervals": intervals,
        "differences": differences,
        "per_finding": {row.label: _plain(row) for row in table},
        "method": _method(cases, draws),
    }


def score_in(metrics: Mapping[str, Any], name: str) -> Score:
    """Takes a score with its interval out of the table again.

    Args:
        metrics: What `measure` returned, or metrics.json.
        name: Name with ending, such as "findings_micro_f1_swapped".
    """
    low, high = metrics["intervals"][name]
    return Score(metrics[name], low, high, metrics["studies"])


def verdict(metrics: Mapping[str, Any]) -> str:
    """Says in a sentence how much of the findings score needs the image.

    Args:
        metrics: What `measure` returned.
    """
    own = metrics["findings_micro_f1"]
    without = {
        "another patient's image": "findings_micro_f1_swapped",
        "a blank image": "findings_micro_f1_blank",
        "the commonest report": "findings_micro_f1_commonest",
    }
    known = {words: name for words, name in without.items() if name in metrics}
    if not known:
        return f"The findings score is {own:.2f}; whether it needs the image was not measured."
    words, name = max(known.items(), key=lambda pair: metrics[pair[1]])
    gap = metrics["differences"][name.replace("findings_micro_f1", "findings_micro_f1_own_minus")]
    span = f"{gap['value']:.2f} ({gap['low']:.2f} to {gap['high']:.2f})"
    if gap["low"] > 0:
        return f"The image is worth {span} of the findings score of {own:.2f}: {words} gives {metrics[name]:.2f}."
    return (
        f"Nothing shows that the model looks: its findings score of {own:.2f} is not surely above the "
        f"{metrics[name]:.2f} that {words} gives; the difference is {span}."
    )


def _plain(row: LabelScore) -> dict[str, float | int | list[float]]:
    return {
        "f1": row.f1.value,
        "interval": [row.f1.low, row.f1.high],
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
        "truth": f"known labels in {known} studies, read from the reference in {len(cases) - known}",
        "interval": f"95 % percentile bootstrap over patients, {draws} draws",
        "decoding": "greedy",
    }
