"""The sentences above the numbers: how much of the score needs the image, and how sure that is.

"Maybe the model only knows how to talk like a real doctor" is answered here, or it is said that it cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.grounding import sees, told
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.evaluation.sureness import FEWEST_PATIENTS, surely_other, too_few

_SCORES = {"findings_micro_f1": "findings score", "observations_micro_f1": "observations score"}
_WITHOUT = {"commonest": "the commonest report", "blank": "a blank image"}


def verdict(metrics: Mapping[str, Any]) -> str:
    """Judges a model by what its image is worth to it.

    Args:
        metrics: What `metrics.measure` returned, with `grounding` where it is known.

    Returns:
        A few sentences: what is lost with another patient's image, whether that is more than could be had without any,
        and how likely the model finds what radiologists wrote.
    """
    first, looks = _by_image(metrics)
    grounding = metrics.get("grounding")
    last = told(grounding)
    if sees(grounding) and not looks:
        last = f"Yet it sees more than it says: {last[0].lower()}{last[1:]}"
    return " ".join(part for part in (first, _without_looking(metrics), last) if part)


def _by_image(metrics: Mapping[str, Any]) -> tuple[str, bool]:
    """Says what another patient's image costs the answers, and whether it surely costs something."""
    name, patients = metrics["headline"], metrics["patients"]
    score, own, other = _SCORES[name], metrics[name], metrics.get(f"{name}_swapped")
    if own is None or other is None:
        return f"The {score} is {say(own)}; whether it needs the image was not measured.", False
    gap = metrics["differences"][f"{name}_own_minus_swapped"]
    if patients < FEWEST_PATIENTS:
        return (
            f"Whether the {score} of {own:.2f} needs the image {too_few(patients)}; another patient's gives "
            f"{other:.2f}.",
            False,
        )
    if gap["value"] > 0 and surely_other(gap, patients):
        return (
            f"The image is worth {_span(gap)} of the {score} of {own:.2f}, {100 * gap['value'] / own:.0f} % of it: "
            f"another patient's image gives {other:.2f}.",
            True,
        )
    return (
        f"Nothing shows that the model looks: its {score} of {own:.2f} is not surely above the {other:.2f} that "
        f"another patient's image gives; the difference is {_span(gap)}.",
        False,
    )


def _without_looking(metrics: Mapping[str, Any]) -> str:
    """Says whether the answers are better than what can be had without looking."""
    name, patients = metrics["headline"], metrics["patients"]
    found: dict[bool, list[str]] = {True: [], False: []}
    for other, words in _WITHOUT.items():
        value, gap = metrics.get(f"{name}_{other}"), metrics["differences"].get(f"{name}_own_minus_{other}")
        if value is not None and gap is not None and gap["value"] is not None:
            better = gap["value"] > 0 and surely_other(gap, patients)
            found[better].append(f"{words} ({value:.2f}, a difference of {_span(gap)})")
    if patients < FEWEST_PATIENTS or not any(found.values()):
        return ""
    said = [
        f"{'surely' if sure else 'not surely'} better than {' or '.join(each)}" for sure, each in found.items() if each
    ]
    return f"It is {', but '.join(said)}."


def _span(gap: Mapping[str, Any]) -> str:
    span = say_span(gap["low"], gap["high"])
    return f"{say(gap['value'])} ({span})" if span else say(gap["value"])
