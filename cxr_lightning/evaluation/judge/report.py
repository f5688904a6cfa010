"""judge.json: all that a judge said, in numbers with intervals, and first of all whether it may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxr_lightning.endpoint.purse import Prices
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.journal import Line
from cxr_lightning.evaluation.judge.material import Material
from cxr_lightning.evaluation.judge.outcomes import Outcome, gradings, verdicts_of
from cxr_lightning.evaluation.judge.questions import Plan
from cxr_lightning.evaluation.judge.shares import Draws
from cxr_lightning.evaluation.judge.tally import PARTS, tally_duels, tally_grades
from cxr_lightning.evaluation.judge.trial import tried
from cxr_lightning.evaluation.judge.trust import believed
from cxr_lightning.evaluation.page.words import say_span

SCHEMA = 1


def report(
    material: Material,
    plan: Plan,
    known: Mapping[str, Line],
    found: Sequence[Outcome],
    *,
    endpoint: str,
    prices: Prices,
    draws: Draws,
) -> dict[str, Any]:
    """Puts judge.json together.

    Args:
        material: What there was to judge.
        plan: What was asked.
        known: Verdicts by id of the question.
        found: What became of the duels.
        endpoint: Who answered, as it may be shown.
        prices: Of tokens.
        draws: How intervals are drawn.
    """
    lines = verdicts_of(plan, known)
    trial = tried(found, lines, asked=len(plan.questions()), draws=draws)
    grade, sentence = believed(trial)
    duels = tally_duels(found, draws)
    return {
        "schema": SCHEMA,
        "judge": {
            "model": plan.judge,
            "endpoint": endpoint,
            "temperature": 0.0,
            "seed": plan.seed,
            "max_tokens": plan.max_tokens,
        },
        "prompts": {"version": prompts.VERSION, "sha256": prompts.fingerprint()},
        "believed": grade,
        "verdict": sentence,
        "result": [_told(row) for row in duels if row["won"] is not None],
        "models": [system.name for system in material.systems],
        "patients": len({material.pool[key].patient for key in material.sample}),
        "duels": duels,
        "grades": tally_grades(gradings(plan, known), draws),
        "trial": trial,
        "cost": _cost(lines, prices),
        "method": {
            "interval": f"95 % percentile bootstrap over patients, {draws.count} draws; exact where all say the same",
            "order": "every pair in both orders; a report won only if it was chosen in both",
            "truth": "models against the radiologist are compared without the reference: form, not truth, is seen",
        },
        "studies": list(material.sample),
    }


def _told(row: Mapping[str, Any]) -> str:
    """Says what became of a pair."""
    parts = ", ".join(f"{name} {100 * row[name]['value']:.0f} %" for name in PARTS)
    points = row["points"]
    span = say_span(points["low"], points["high"])
    told = f"{points['value']:.2f} ({f'{span}, ' if span else ''}n = {points['n']})"
    return f"{row['left']} against {row['right']}: {parts}; points {told}."


def _cost(lines: Sequence[Line], prices: Prices) -> dict[str, float | int]:
    asked, answered = sum(line["asked_tokens"] for line in lines), sum(line["tokens"] for line in lines)
    return {
        "asked_tokens": asked,
        "tokens": answered,
        "price_in": prices.asked,
        "price_out": prices.answered,
        "cost": round(prices.cost(asked, answered), 6),
        "seconds": round(sum(line["seconds"] for line in lines), 1),
    }
