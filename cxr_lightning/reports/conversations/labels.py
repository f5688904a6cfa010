"""Known labels enter, one yes-no question about one finding leaves, with its answer.

Labels that are known list all that is there, so that a finding can be asked about which the report does not name. Half
of the "no" ask for something that is there at another place ("on the left?" where it is on the right): such questions
cannot be answered from how common a finding is, only from the image.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxr_lightning.reports.conversations.presence import answer_yes_or_no
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.draw import choose, fraction

_ZONES = tuple(f"{side}-{zone}" for side in ("right", "left") for zone in ("upper", "mid", "lower"))
_LOBES = ("right-upper", "right-middle", "right-lower", "left-upper", "left-lower")
_YES_SHARE = 0.6
_ASKED_NORMAL_SHARE = 0.5
"""What of the films without a finding are asked, whose answer must be no. With 0.6 beside it, yes and no are equally
often where three films of ten are normal, and within 45 and 55 per cent from two of ten to four."""

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


def ask_labels(labels: Sequence[str], key: str) -> list[Asked]:
    """Ask about one finding that is there, or about one that is not.

    Args:
        labels: The located labels known to be true, all of them, and all of them ours.
        key: The study's key.

    Returns:
        One question; none for some of the films without a finding.
    """
    askable = all_labels()
    present = [label for label in askable if label in labels]
    absent = [label for label in askable if label not in labels]
    if not present and fraction(key, "normal") >= _ASKED_NORMAL_SHARE:
        return []
    yes = bool(present) and (fraction(key, "yes or no") < _YES_SHARE or not absent)
    label = choose(present, key, "present") if yes else _absent(present, absent, key)
    name = name_of(label)
    stated = f"there is {name}" if yes else f"there is no {name.removeprefix('a ')}"
    return [answer_yes_or_no(name, label, stated, "", key, holds=yes)]


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
    # First what, then where: six places of a nodule must not make it six times as likely to be denied.
    kind = choose(sorted({label.partition(":")[0] for label in absent}), key, "absent kind")
    return choose([label for label in absent if label.partition(":")[0] == kind], key, "absent")
