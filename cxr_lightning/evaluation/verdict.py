"""The sentences above the numbers: how much of the score needs the image, and how sure that is.

"Maybe the model only knows how to talk like a real doctor" is answered here, or it is said that it cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.grounding import told

_SCORES = {"findings_micro_f1": "findings score", "observations_micro_f1": "observations score"}
_WITHOUT = {"swapped": "another patient's image", "blank": "a blank image", "commonest": "the commonest report"}


def verdict(metrics: Mapping[str, Any]) -> str:
    """Judges a model by what its image is worth to it.

    Args:
        metrics: What `metrics.measure` returned, with `grounding` where it is known.

    Returns:
        A few sentences.
    """
    first, looks = _by_answers(metrics)
    grounding = metrics.get("grounding")
    second = told(grounding)
    if grounding and second and not looks and grounding["own_minus_swapped"]["high"] < 0:
        second = f"Yet it sees more than it says: {second[0].lower()}{second[1:]}"
    return f"{first} {second}".strip()


def _by_answers(metrics: Mapping[str, Any]) -> tuple[str, bool]:
    """Judges by what the model writes; returns the sentence, and whether the image is surely worth something."""
    name = metrics["headline"]
    score, own = _SCORES[name], metrics[name]
    known = {other: metrics[f"{name}_{other}"] for other in _WITHOUT if metrics.get(f"{name}_{other}") is not None}
    if own is None or not known:
        return f"The {score} is {own or 0:.2f}; whether it needs the image was not measured.", False
    best = max(known, key=lambda other: float(known[other]))
    gap = metrics["differences"][f"{name}_own_minus_{best}"]
    if gap["low"] is None:
        return f"The {score} is {own:.2f}; there are too few studies to say whether it needs the image.", False
    span = f"{gap['value']:.2f} ({gap['low']:.2f} to {gap['high']:.2f})"
    if gap["low"] > 0:
        of = f"the {score} of {own:.2f}, {100 * gap['value'] / own:.0f} % of it"
        return f"The image is worth {span} of {of}: {_WITHOUT[best]} gives {known[best]:.2f}.", True
    return (
        f"Nothing shows that the model looks: its {score} of {own:.2f} is not surely above the {known[best]:.2f} that "
        f"{_WITHOUT[best]} gives; the difference is {span}.",
        False,
    )
