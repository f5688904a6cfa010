"""What a trial measured becomes a sentence that leaves nothing out, and claims nothing of few patients."""

from __future__ import annotations

from typing import Any

import pytest

from cxr_lightning.evaluation.judge.material import Study
from cxr_lightning.evaluation.judge.outcomes import Heard, Outcome
from cxr_lightning.evaluation.judge.questions import Duel
from cxr_lightning.evaluation.judge.shares import Draws, difference_of_shares, share
from cxr_lightning.evaluation.judge.trial import tried
from cxr_lightning.evaluation.judge.trust import believed

pytestmark = pytest.mark.quick


def part(value: float, low: float | None, high: float | None, n: int = 100) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def trial(**other: Any) -> dict[str, Any]:
    sure = part(0.98, 0.95, 1.0)
    return {
        "patients": 50,
        "controls": {"all": sure, "stranger": sure, "corrupted": sure},
        "first": part(0.5, 0.45, 0.55),
        "length_effect": part(0.0, -0.05, 0.05),
        "consistent": part(0.95, 0.9, 1.0),
        "self_agreement": part(1.0, 0.9, 1.0),
        "answers": {"asked": 100, "unread": 0, "refused": 0},
    } | other


def test_a_sure_trial_is_believed_and_one_of_few_patients_is_not():
    assert believed(trial())[0] == "yes"
    grade, said = believed(trial(patients=19))
    assert grade == "unknown"
    assert "100 verdicts in controls, on 19 patients, are too few" in said


def test_what_it_overlooks_is_told_beside_how_little_it_knows():
    weak = {"all": part(0.7, 0.65, 0.75), "stranger": part(0.95, 0.9, 1.0), "corrupted": part(0.45, 0.4, 0.5)}
    grade, said = believed(trial(controls=weak))
    assert grade == "caution"
    assert "70 % (65 to 75) of the controls only" in said
    assert "of falsified copies it found out 45 % (40 to 50) only" in said
    assert "other patients" not in said


def test_ends_that_are_not_known_make_nothing_sure():
    half = part(0.5, None, None)
    grade, said = believed(trial(controls={"all": half, "stranger": half, "corrupted": None}, first=half))
    assert grade == "no"
    assert "in 50 % of the controls only" in said


def test_groups_that_differ_wholly_have_an_exact_interval():
    cases = [(f"p{n}", bool(n % 2), bool(n % 2)) for n in range(40)]
    found = difference_of_shares(cases, Draws(50))
    assert found is not None
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.7 < found.low < 0.8
    alike = difference_of_shares([(patient, first, True) for patient, first, _ in cases], Draws(50))
    assert alike is not None
    assert alike.value == 0
    assert alike.low == pytest.approx(-alike.high)
    assert alike.high == pytest.approx(0.1684, abs=1e-4)
    assert (always := share([("a", True)] * 48, Draws(50))) is not None
    assert always.low == pytest.approx(0.025), "all of one patient"


def test_length_is_judged_by_other_patients_reports_alone():
    found = []
    for number in range(40):
        study = Study(f"s{number}", f"p{number}", f"one two three four five {number}", frozenset())
        long, short = f"{study.reference} and more and more {number}", f"no {number}"
        # It finds out every other patient's report, and of falsified copies, which are longer here, none.
        for kind, right, side in (
            ("stranger", (long, short)[number % 2], "left"),
            ("corrupted", f"not {long}", "right"),
        ):
            duel = Duel(kind, study, "true", "false", study.reference, right)
            found.append(Outcome(duel, (Heard(side, first=True), Heard(side, first=False)), None))
    measured = tried(found, [], asked=0, draws=Draws(50))
    assert measured["patients"] == 40
    assert measured["length_effect"]["value"] == 0
