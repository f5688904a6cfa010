"""Did it look? How likely a model finds each reference beside its own image, another patient's, and a blank one.

Enters the answers of all three conditions; leaves numbers with intervals by patient. What a model writes may be right
by habit ("the lungs are clear" mostly is); a reference becomes likelier beside its own image only if that was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.page.words import say_share
from cxr_lightning.evaluation.sureness import FEWEST_PATIENTS, surely_other, too_few
from cxr_lightning.evaluation.tasks import CONDITIONS, Answer, Condition, TaskId
from cxr_lightning.scoring.bootstrap import interval, paired_difference, ratio_of_sums
from cxr_lightning.scoring.significance import permutation_test


def measure_grounding(
    cases: Sequence[Case], answers: Mapping[TaskId, Answer], *, draws: int = 1000, seed: int = 0
) -> dict[str, Any] | None:
    """Measures likelihoods of references by image.

    Args:
        cases: The studies.
        answers: An answer to each under each condition.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        Plain numbers, nats a token: `nats_per_token` by condition; `own_minus_swapped` and `own_minus_blank`, below
        zero where the own image makes references likelier; `studies_better_with_own_image`, the share of the studies
        whose reference is likelier beside their own image than beside another patient's, ties as halves; and each
        study's gap, `gaps`. None where a server answered, which does not say.
    """
    found = {condition: _statistics(cases, answers, condition) for condition in CONDITIONS}
    sums = {condition: rows for condition, rows in found.items() if rows is not None}
    if "own" not in sums:
        return None
    patients = [case.patient for case in cases]
    how: dict[str, Any] = {"patients": patients, "draws": draws, "seed": seed}
    measured: dict[str, Any] = {
        "nats_per_token": {name: interval(rows, ratio_of_sums, **how).to_json() for name, rows in sums.items()},
        "patients": len(set(patients)),
    }
    for other in ("swapped", "blank"):
        if other in sums:
            gap = paired_difference(sums["own"], sums[other], ratio_of_sums, **how)
            chance = permutation_test(sums["own"], sums[other], ratio_of_sums, patients=patients, seed=seed)
            measured[f"own_minus_{other}"] = {**gap.to_json(), "p": chance.p}
    if "swapped" in sums:
        gaps_N = _per_token(sums["own"]) - _per_token(sums["swapped"])
        # A tie is half of each: who sees nothing is likelier beside the own image in one study of two.
        likelier = np.stack([(gaps_N < 0) + 0.5 * (gaps_N == 0), np.ones(len(gaps_N))], axis=1)
        share = interval(likelier, ratio_of_sums, **how).exact(len(set(patients)))
        measured["studies_better_with_own_image"] = share.value
        measured["studies_better_interval"] = share.ends
        measured["gaps"] = [round(float(gap), 5) for gap in gaps_N]
    return measured


def sees(grounding: Mapping[str, Any] | None) -> bool:
    """Returns whether references are surely likelier beside their own image than beside another patient's.

    Args:
        grounding: What `measure_grounding` returned.
    """
    if grounding is None or "own_minus_swapped" not in grounding:
        return False
    gap = grounding["own_minus_swapped"]
    return gap["value"] < 0 and surely_other(gap, grounding["patients"])


def told(grounding: Mapping[str, Any] | None) -> str:
    """Says in a sentence what likelihoods show.

    Args:
        grounding: What `measure_grounding` returned.
    """
    if grounding is None or "own_minus_swapped" not in grounding:
        return ""
    gap, patients = grounding["own_minus_swapped"], grounding["patients"]
    low, high = grounding["studies_better_interval"]
    share = say_share({"value": grounding["studies_better_with_own_image"], "low": low, "high": high})
    by = f"by {_turned(gap)} nats a token"
    if sees(grounding):
        return f"It finds what the radiologist wrote likelier beside the own image in {share} of studies, {by}."
    if patients < FEWEST_PATIENTS:
        return (
            f"Whether it finds what the radiologist wrote likelier beside the own image {too_few(patients)}: in "
            f"{share} of the studies, {by}."
        )
    return (
        "It does not find what the radiologist wrote surely likelier beside the own image than beside another "
        f"patient's: in {share} of the studies, {by}."
    )


def _turned(gap: Mapping[str, Any]) -> str:
    """Words how much likelier, which is how much less in nats; without a minus before a zero."""
    value, low, high = (None if end is None else f"{0.0 - end:.3f}" for end in (gap["value"], gap["high"], gap["low"]))
    value, low, high = ("0.000" if end == "-0.000" else end for end in (value, low, high))
    return f"{value} ({low} to {high})" if low and high else f"{value}"


def _statistics(
    cases: Sequence[Case], answers: Mapping[TaskId, Answer], condition: Condition
) -> NDArray[np.float64] | None:
    """Returns nats and tokens (N, 2) of the references under a condition; None where they are not known."""
    said = [answers.get((case.key, condition)) for case in cases]
    likely = [None if each is None else each.likelihood for each in said]
    known = [(each.nats, float(each.tokens)) for each in likely if each is not None]
    return np.array(known) if len(known) == len(cases) else None


def _per_token(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows[:, 0] / np.maximum(rows[:, 1], 1.0))
