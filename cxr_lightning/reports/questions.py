"""Known labels enter, one yes-no question about one finding leaves, with its answer.

Yes and no are drawn equally often. Half of the "no" ask for something that is there at another place ("on the left?"
where it is on the right): such questions cannot be answered from how common a finding is, only from the image.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxr_lightning.reports.draw import choose, fraction

_ZONES = tuple(f"{side}-{zone}" for side in ("right", "left") for zone in ("upper", "mid", "lower"))
_LOBES = ("right-upper", "right-middle", "right-lower", "left-upper", "left-lower")

PLACES: dict[str, tuple[str, ...]] = {
    "pleural_effusion": ("left", "right"),
    "pneumothorax": ("left", "right"),
    "atelectasis": ("left", "right"),
    "nodule": _ZONES,
    "consolidation": _LOBES,
    "cardiomegaly": (),
    "interstitial_oedema": (),
    "pacemaker": (),
    "line": (),
}
"""Every finding that can be asked about, with the places it can have."""

_NAMES = {
    "pleural_effusion": "a {place} pleural effusion",
    "pneumothorax": "a {place} pneumothorax",
    "atelectasis": "{place} atelectasis",
    "nodule": "a nodule or mass in the {place} zone",
    "consolidation": "consolidation in the {place} lobe",
    "cardiomegaly": "cardiomegaly",
    "interstitial_oedema": "interstitial edema",
    "pacemaker": "a pacemaker",
    "line": "a central venous line",
}
QUESTIONS = (
    "Is there {finding}?",
    "Does this image show {finding}?",
    "Can you see {finding}?",
    "Do you see {finding} on this radiograph?",
    "Yes or no: is there {finding}?",
)


def all_labels() -> tuple[str, ...]:
    """List every located label that can be asked about."""
    return tuple(label for kind, places in PLACES.items() for label in _located(kind, places))


def can_ask_about(labels: Sequence[str]) -> bool:
    """Tell whether every label is one of ours.

    With a foreign one among them, a finding of ours that seems absent could be there by its other name.

    Args:
        labels: The labels known to be true.
    """
    return set(labels) <= set(all_labels())


def ask_about(labels: Sequence[str], key: str) -> tuple[str, str]:
    """Ask about one finding that is there, or about one that is not.

    Args:
        labels: The located labels known to be true, all of them, and all of them ours.
        key: The study's key.

    Returns:
        A question and its answer.
    """
    askable = all_labels()
    present = [label for label in askable if label in labels]
    absent = [label for label in askable if label not in labels]
    yes = bool(present) and (fraction(key, "yes or no") < 0.5 or not absent)
    label = choose(present, key, "present") if yes else _absent(present, absent, key)
    finding = name_of(label)
    question = choose(QUESTIONS, key, "question").format(finding=finding)
    return question, f"Yes, there is {finding}." if yes else f"No, there is no {finding.removeprefix('a ')}."


def name_of(label: str) -> str:
    """Name a located label in words.

    Args:
        label: One of `all_labels()`, such as "nodule:left-upper".
    """
    kind, _, place = label.partition(":")
    return _NAMES[kind].format(place=place.replace("-", " "))


def _located(kind: str, places: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}:{place}" for place in places) or (kind,)


def _absent(present: list[str], absent: list[str], key: str) -> str:
    kinds = {label.partition(":")[0] for label in present}
    elsewhere = [label for label in absent if label.partition(":")[0] in kinds]
    if elsewhere and fraction(key, "elsewhere") < 0.5:
        return choose(elsewhere, key, "elsewhere which")
    return choose(absent, key, "absent")
