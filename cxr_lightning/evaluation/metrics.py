"""All numbers of one evaluation: every score on the model's own images, on other ones, and without looking.

Enters the studies and the answers of each variant; leaves one table of plain numbers for metrics.json, each with its
interval, and a sentence that says how much of the score the image is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.scoring.bootstrap import Score, interval, paired_difference
from cxr_lightning.scoring.labels import LabelScore, count_labels, score_labels
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Texts

VARIANTS = {"own": "", "swapped": "_swapped", "blank": "_blank", "commonest": "_commonest"}
"""What was answered, and how the name of its score ends. "commonest" always answers the commonest training text."""


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
    texts = {variant: texts_of(cases, answers[variant]) for variant in VARIANTS if variant in answers}
    for scorer in SCORERS:
        name, score_of = scorer.name, scorer.score_of
        statistics = {variant: scorer.statistics(each) for variant, each in texts.items()}
        for variant, rows in statistics.items():
            score = interval(rows, score_of, patients=patients, draws=draws, seed=seed)
            values[name + VARIANTS[variant]] = score.value
            intervals[name + VARIANTS[variant]] = [score.low, score.high]
            if variant != "own":
                difference = paired_difference(
                    statistics["own"], rows, score_of, patients=patients, draws=draws, seed=seed
                )
                differences[f"{name}_own_minus{VARIANTS[variant]}"] = asdict(difference)
    own = texts["own"]
    counts = count_labels(own.truths, [find(answer) for answer in own.answers])
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
