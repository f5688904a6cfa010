"""The verdict is sure only where interval and permutation test agree, over patients enough for both."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.grounding import measure_grounding, told
from cxr_lightning.evaluation.metrics import measure
from cxr_lightning.evaluation.summary import print_summary
from cxr_lightning.evaluation.tasks import Answer, Likelihood
from cxr_lightning.evaluation.verdict import verdict
from tests.evaluation.numbers import GOOD, TRUTH

pytestmark = pytest.mark.quick


def found(own: float, swapped: dict[str, Any], commonest: dict[str, Any], patients: int = 40) -> dict[str, Any]:
    name = "findings_micro_f1"
    gaps = {"swapped": swapped, "commonest": commonest}
    return {
        "headline": name,
        "patients": patients,
        name: own,
        **{f"{name}_{other}": own - gap["value"] for other, gap in gaps.items()},
        "differences": {f"{name}_own_minus_{other}": gap for other, gap in gaps.items()},
    }


def gap(value: float, low: float | None, high: float | None, p: float = 0.001) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 60, "p": p}


def test_what_the_commonest_report_lacks_is_not_owed_to_the_image() -> None:
    said = verdict(found(0.5, gap(0.1, -0.03, 0.22, 0.2), gap(0.09, 0.01, 0.17)))
    assert said.startswith("Nothing shows that the model looks")
    assert "It is surely better than the commonest report (0.41, a difference of 0.09 (0.01 to 0.17))." in said
    said = verdict(found(0.5, gap(0.2, 0.1, 0.3), gap(-0.05, -0.1, 0.02, 0.3)))
    assert said.startswith("The image is worth 0.20 (0.10 to 0.30) of the findings score of 0.50, 40 % of it")
    assert "It is not surely better than the commonest report (0.55, a difference of −0.05 (−0.10 to 0.02))." in said


@pytest.mark.parametrize(
    "swapped", [gap(0.2, 0.1, 0.3, 0.06), gap(0.2, -0.01, 0.3), gap(0.2, None, None), gap(-0.2, -0.3, -0.1)]
)
def test_interval_and_permutation_test_must_both_be_sure(swapped) -> None:
    assert verdict(found(0.5, swapped, gap(0.0, None, None, 1.0))).startswith("Nothing shows that the model looks")


@given(st.integers(1, 19))
def test_few_patients_are_never_sure(patients: int) -> None:
    said = verdict(found(0.5, gap(0.4, 0.3, 0.5), gap(0.4, 0.3, 0.5), patients))
    assert said.startswith("Whether the findings score of 0.50 needs the image cannot be said of")
    assert "too few to be sure" in said
    assert "surely better" not in said


def evaluated(patients: int, *, looks: bool = True) -> dict[str, Any]:
    cases = [Case(str(n), f"p{n % patients}", "<image>", (b"",), ("frontal",), TRUTH, None) for n in range(60)]
    swapped = [GOOD if looks else TRUTH] * 60
    return measure(cases, {"own": [TRUTH] * 60, "swapped": swapped, "blank": [""] * 60, "commonest": [TRUTH] * 60})


def test_what_was_measured_is_judged_and_told_where_ends_are_unknown(tmp_path, capsys) -> None:
    metrics = evaluated(30)
    json.dumps(metrics, allow_nan=False)
    assert verdict(evaluated(30, looks=False)).startswith("Nothing shows that the model looks")
    assert "too few" in verdict(evaluated(2))
    metrics |= {"verdict": verdict(metrics), "split": "test", "shards": "x", "health": {"remarks": []}}
    print_summary(metrics, tmp_path, carded=False)
    shown = capsys.readouterr().out
    assert "–" in shown
    assert "nan" not in shown


def grounded(gaps: list[float], patients: int = 40) -> dict[str, Any]:
    cases = [Case(str(n), f"p{n % patients}", "<image>", (b"",), ("frontal",), TRUTH, None) for n in range(len(gaps))]
    answers = {}
    for case, less in zip(cases, gaps, strict=True):
        for condition, nats in (("own", 20.0 - less), ("swapped", 20.0), ("blank", 20.0)):
            likely = Likelihood(nats, 10)
            answers[case.key, condition] = Answer(case.key, condition, case.key, "x", "stop", 3, likely)
    measured = measure_grounding(cases, answers, draws=200)
    assert measured is not None
    return measured


def test_a_tie_is_half_and_zero_has_no_minus() -> None:
    measured = grounded([0.0] * 40)
    assert measured["studies_better_with_own_image"] == 0.5
    assert "in 50 % of the studies, by 0.000 nats" in told(measured)
    assert "-" not in told(measured)


def test_likelihoods_are_sure_of_patients_enough_only() -> None:
    gains = list(np.random.default_rng(0).uniform(0.5, 1.5, 40))
    sure = grounded(gains)
    assert sure["studies_better_interval"] == [pytest.approx(0.912, abs=0.001), 1.0]
    assert told(sure).startswith("It finds what the radiologist wrote likelier beside the own image in 100 % (91 to")
    assert "cannot be said of 2 patients, who are too few" in told(grounded(gains, patients=2))
    mixed = grounded([gain * (-1) ** n for n, gain in enumerate(gains)])
    assert told(mixed).startswith("It does not find what the radiologist wrote surely likelier")


def test_chance_alone_is_seldom_called_looking_however_few_the_patients() -> None:
    draw = np.random.default_rng(0)
    called = [told(grounded(list(draw.normal(0, 1, n)), patients=n)) for n in (2, 5, 10, 20, 25) for _ in range(8)]
    assert sum(each.startswith("It finds") for each in called) <= 3
