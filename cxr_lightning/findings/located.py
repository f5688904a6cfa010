"""Which findings a report states, and where: located labels from free text, by rule.

Enters report text, written by a person or a model; leaves labels such as "pleural_effusion:left". Negated, resolved
and hedged findings are not stated, nor is one whose place is needed and not said. It is a labeler of our own: its
scores are not CheXbert's or CheXpert's and must not be compared with them.
"""

from __future__ import annotations

from cxr_lightning.findings.catalogue import BY_NAME, CATALOGUE
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import Mention, find_mentions
from cxr_lightning.findings.places import BOTH, Place
from cxr_lightning.findings.sentences import split_sentences

__all__ = ["LABELS", "find", "find_mentions", "labels_of", "split_sentences"]

_ZONES = tuple(f"{side}-{zone}" for side in ("right", "left") for zone in ("upper", "mid", "lower"))
_LOBES = {
    "right-upper": "right-upper",
    "right-mid": "right-middle",
    "right-lower": "right-lower",
    "left-upper": "left-upper",
}
# The left lung has no middle lobe: the lingula, which fills its mid zone, is part of the upper one.
_LOBES |= {"left-mid": "left-upper", "left-lower": "left-lower"}
_PARTS = {"none": (), "side": BOTH, "zone": _ZONES, "lobe": tuple(dict.fromkeys(_LOBES.values()))}
_DETAIL = {row.located: row.detail for row in CATALOGUE if row.located}

LABELS: tuple[str, ...] = tuple(
    label
    for name, detail in _DETAIL.items()
    for label in ([f"{name}:{part}" for part in _PARTS[detail]] if detail != "none" else [name])
)
"""All located labels, in the order of the catalogue and of tables."""


def find(text: str) -> frozenset[str]:
    """Reads the located findings that a report states.

    Args:
        text: A report or a part of one; sections, line breaks and lists are understood.

    Returns:
        A subset of `LABELS`; empty for a normal chest.
    """
    stated: set[str] = set()
    for mention in find_mentions(text):
        if mention.certainty is Certainty.PRESENT:
            stated |= labels_of(mention)
    return frozenset(stated)


def labels_of(mention: Mention) -> frozenset[str]:
    """Names a mention in the located vocabulary, whatever its certainty.

    Args:
        mention: A mention.

    Returns:
        Its labels; none when the needed place is not said or the vocabulary lacks the finding.
    """
    name = BY_NAME[mention.finding].located
    if not name:
        return frozenset()
    if _DETAIL[name] == "none":
        return frozenset({name})
    return frozenset(f"{name}:{part}" for part in (_part(_DETAIL[name], place) for place in mention.places) if part)


def _part(detail: str, place: Place) -> str:
    """Names a place as `LABELS` does, or "" when it is not fine enough."""
    if detail == "side" or not place.zone or not place.side:
        return place.side if detail == "side" else ""
    zone = f"{place.side}-{place.zone}"
    return _LOBES[zone] if detail == "lobe" else zone
