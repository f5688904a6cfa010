"""May this judge be believed? What its trial measured enters, a grade and a plain sentence leave.

The limits are ours and stand here; they are on the cautious side, for a judge that is not believed costs an evening of
a radiologist, and one that is believed wrongly costs more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cxr_lightning.evaluation.page.words import say_share
from cxr_lightning.evaluation.sureness import FEWEST_PATIENTS

Grade = Literal["yes", "caution", "no", "unknown"]

FEWEST = FEWEST_PATIENTS
"""Patients in controls below which nothing is said; verdicts on the same patient say the same of a judge."""
KNOWS, KNOWS_HARDLY = 0.8, 0.6
"""Least share of controls won, by the lower end of its interval: to be believed, and to be believed with caution."""
PLACE, PLACE_GROSS = 0.1, 0.25
"""How far from one half the choice of the first report may be."""
LENGTH, LENGTH_GROSS = 0.1, 0.4
"""How much more often the truth may be named where it is the longer one, or the shorter."""
CONSISTENT, CONSISTENT_GROSS = 0.7, 0.4
"""Least share of duels whose two orders agree."""
SAME = 0.9
"""Least share of verdicts that are the same when asked again."""
UNREAD = 0.05
"""Most answers that cannot be read or are refused."""

_BELIEVED: dict[Grade, str] = {
    "yes": "This judge can be believed",
    "caution": "This judge can be believed with caution",
    "no": "This judge cannot be believed",
    "unknown": "Whether this judge can be believed is not known",
}
_Found = list[tuple[Grade, str]]


def believed(trial: Mapping[str, Any]) -> tuple[Grade, str]:
    """Says whether a judge can be believed, and why.

    Args:
        trial: What `trial.tried` returned.

    Returns:
        The grade, and a sentence.
    """
    knows = trial["controls"]["all"]
    if knows is None or trial["patients"] < FEWEST:
        verdicts = 0 if knows is None else knows["n"]
        lost = "".join(f"; {reason}" for _, reason in _answers(trial))
        return "unknown", (
            f"{_BELIEVED['unknown']}: {verdicts} verdicts in controls, on {trial['patients']} patients, are too few "
            f"({FEWEST} patients are needed){lost}. Ask about more --studies."
        )
    flaws = [
        *_knowledge(knows),
        *_blind_spots(trial["controls"]),
        *_place(trial),
        *_length(trial),
        *_constancy(trial),
        *_answers(trial),
    ]
    grade: Grade = "no" if any(how == "no" for how, _ in flaws) else "caution" if flaws else "yes"
    told = f"{say_share(knows)} of the controls"
    if not flaws:
        return grade, (
            f"{_BELIEVED[grade]}: it told a true report from a false one in {told}, and neither place nor length "
            "decided."
        )
    reasons = "; ".join(reason for _, reason in flaws)
    known = "" if any("controls" in reason for _, reason in flaws) else f" It told true from false in {told}."
    return grade, f"{_BELIEVED[grade]}: {reasons}.{known}"


def _knowledge(knows: Mapping[str, Any]) -> _Found:
    if _low(knows) >= KNOWS:
        return []
    if knows["value"] >= KNOWS:
        return [("caution", f"{say_share(knows)} of the controls are won, which are too few to be sure")]
    reason = f"it told a true report from a false one in {say_share(knows)} of the controls only"
    return [("caution" if _low(knows) >= KNOWS_HARDLY else "no", reason)]


def _blind_spots(controls: Mapping[str, Any]) -> _Found:
    """Finds what a judge overlooks, well as it may do on the whole."""
    names = {"stranger": "reports of other patients", "corrupted": "falsified copies"}
    return [
        ("caution", f"of {words} it found out {say_share(score)} only")
        for kind, words in names.items()
        if (score := controls[kind]) is not None and _high(score) < KNOWS
    ]


def _place(trial: Mapping[str, Any]) -> _Found:
    first = trial["first"]
    if first is None or _low(first) <= 0.5 <= _high(first) or abs(first["value"] - 0.5) <= PLACE:
        return []
    place = "first" if first["value"] > 0.5 else "second"
    value = (
        first if place == "first" else {"value": 1 - first["value"], "low": 1 - _high(first), "high": 1 - _low(first)}
    )
    grade: Grade = "no" if abs(first["value"] - 0.5) >= PLACE_GROSS else "caution"
    return [(grade, f"it prefers whichever report stands {place}, in {say_share(value)} of its choices")]


def _length(trial: Mapping[str, Any]) -> _Found:
    effect = trial["length_effect"]
    if (
        effect is None
        or effect["low"] is None
        or abs(effect["value"]) <= LENGTH
        or effect["low"] <= 0 <= effect["high"]
    ):
        return []
    kind = "longer" if effect["value"] > 0 else "shorter"
    points = f"{abs(effect['value']) * 100:.0f} points"
    grade: Grade = "no" if abs(effect["value"]) >= LENGTH_GROSS else "caution"
    return [(grade, f"it prefers the {kind} report: it named the truth {points} more often where that was the {kind}")]


def _constancy(trial: Mapping[str, Any]) -> _Found:
    found: _Found = []
    order, same = trial["consistent"], trial["self_agreement"]
    if order is not None and order["value"] < CONSISTENT:
        grade: Grade = "no" if order["value"] < CONSISTENT_GROSS else "caution"
        found.append(
            (grade, f"it kept its verdict when the two reports changed places in {say_share(order)} of the duels only")
        )
    if same is not None and same["value"] < SAME:
        found.append(("caution", f"asked the same again, it said the same in {say_share(same)} only"))
    return found


def _answers(trial: Mapping[str, Any]) -> _Found:
    answers = trial["answers"]
    lost = answers["unread"] + answers["refused"]
    if not answers["asked"] or lost / answers["asked"] <= UNREAD:
        return []
    return [("caution", f"{lost} of its {answers['asked']} answers could not be read or were refused")]


def _low(score: Mapping[str, Any]) -> float:
    """The lower end of a share's interval; where it is not known, nothing is sure."""
    return 0.0 if score["low"] is None else float(score["low"])


def _high(score: Mapping[str, Any]) -> float:
    return 1.0 if score["high"] is None else float(score["high"])
