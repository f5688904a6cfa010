"""Did it look? How likely a model finds each reference beside its own image, another patient's, and a blank one.

Enters the answers of all three conditions; leaves numbers with intervals by patient. What a model writes may be right
by habit ("the lungs are clear" mostly is); a reference becomes likelier beside its own image only if that was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.tasks import CONDITIONS, Answer, Condition, TaskId
from cxr_lightning.scoring.bootstrap import interval, paired_difference, ratio_of_sums


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
        whose reference is likelier beside their own image than beside another patient's; and each study's gap, `gaps`.
        None where a server answered, which does not say.
    """
    found = {condition: _statistics(cases, answers, condition) for condition in CONDITIONS}
    sums = {condition: rows for condition, rows in found.items() if rows is not None}
    if "own" not in sums:
        return None
    patients = [case.patient for case in cases]
    how: dict[str, Any] = {"patients": patients, "draws": draws, "seed": seed}
    measured: dict[str, Any] = {
        "nats_per_token": {name: asdict(interval(rows, ratio_of_sums, **how)) for name, rows in sums.items()}
    }
    for other in ("swapped", "blank"):
        if other in sums:
            gap = paired_difference(sums["own"], sums[other], ratio_of_sums, **how)
            measured[f"own_minus_{other}"] = asdict(gap)
    if "swapped" in sums:
        gaps_N = _per_token(sums["own"]) - _per_token(sums["swapped"])
        likelier = np.stack([gaps_N < 0, np.ones(len(gaps_N))], axis=1)
        share = interval(likelier, ratio_of_sums, **how)
        measured["studies_better_with_own_image"] = share.value
        measured["studies_better_interval"] = [share.low, share.high]
        measured["gaps"] = [round(float(gap), 5) for gap in gaps_N]
    return measured


def told(grounding: Mapping[str, Any] | None) -> str:
    """Says in a sentence what likelihoods show.

    Args:
        grounding: What `measure_grounding` returned.
    """
    if grounding is None or "own_minus_swapped" not in grounding:
        return ""
    gap = grounding["own_minus_swapped"]
    low, high = grounding["studies_better_interval"]
    share = f"{100 * grounding['studies_better_with_own_image']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
    span = f"{-gap['value']:.3f} ({-gap['high']:.3f} to {-gap['low']:.3f}) nats a token"
    if gap["high"] < 0:
        return f"It finds what the radiologist wrote likelier beside the own image in {share} of studies, by {span}."
    return (
        "It does not find what the radiologist wrote surely likelier beside the own image than beside another "
        f"patient's: in {share} of the studies, by {span}."
    )


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
