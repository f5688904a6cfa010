"""What does the report say of the heart, the lungs, the bones: all its sentences of a part are the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.reports.conversations.reading import Line, Reading
from cxr_lightning.reports.conversations.sound import is_known_normal
from cxr_lightning.reports.conversations.topics import DEVICE_ROWS
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.conversations.wordings import REGION
from cxr_lightning.reports.draw import choose, fraction

_MOST_LINES = 3
_WORD = re.compile(r"[a-z]+")
_EMPTY = frozenset("a an the is are there this seen noted present with and in of no".split())  # noqa: SIM905
_LUNGS = frozenset(
    ("nodule", "tumour", "consolidation", "pneumonia", "infection", "airspace_opacity", "opacity",
     "interstitial_oedema", "congestion", "atelectasis")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the chest that a report speaks of.

    Attributes:
        verb: The verb that goes with it.
        words: The words by which a sentence is known to speak of it.
        rows: The rows of the labeler's catalogue that do.
    """

    verb: str
    words: re.Pattern[str]
    rows: frozenset[str] = frozenset()


REGIONS: dict[str, Region] = {
    "the heart": Region("is", re.compile(r"\b(?:heart|cardiac|cardiomegaly|cardiomediastinal)\b", re.IGNORECASE)),
    "the lungs": Region(
        "are",
        re.compile(
            r"\b(?:lungs?|air ?space|(?<!subcutaneous )emphysem\w+|lobes?|parenchym\w+|interstiti\w+"
            r"|hyper(?:infl|exp|aer)\w+|granuloma\w*|scar\w*|bas(?:es|ilar|al)|apex|apices|inspirat\w+|aerat\w+|bronch\w+|pulmonary)\b",
            re.IGNORECASE,
        ),
        _LUNGS,
    ),
    "the pleura": Region(
        "is",
        re.compile(r"\b(?:pleura\w*|costophrenic|sulcus|fissure\w*|apical)\b", re.IGNORECASE),
        frozenset(("pleural_effusion", "pneumothorax", "pleural_other")),
    ),
    "the mediastinum": Region(
        "is", re.compile(r"\b(?:\w*mediastin\w+|hil(?:a|ar|um)|aort\w+|trachea\w*)\b", re.IGNORECASE)
    ),
    "the bones": Region(
        "are",
        re.compile(
            r"\b(?:bon[ey]s?|osseous|ribs?|spine|spinal|vertebra\w*|skelet\w+|clavic\w+|scolio\w+|kypho\w+"
            r"|thoracic cage|degenerative|osteo\w+|shoulders?|humer\w+|spondyl\w+)\b",
            re.IGNORECASE,
        ),
        frozenset(("fracture",)),
    ),
}
"""What of a chest is asked after by name."""


def regions(reading: Reading, key: str) -> list[Asked]:
    """Ask about a part of the chest; all that the report says of it is the answer.

    Args:
        reading: The study.
        key: The study's key.

    Returns:
        One question or none.
    """
    for part in sorted(REGIONS, key=lambda part: fraction(key, "region order", part)):
        region = REGIONS[part]
        lines = [line for line in reading.lines if _is_of(line, region)]
        apart = 0 < len(lines) <= _MOST_LINES and len(lines) < len(reading.lines)
        # What cleaning took out of the report belongs to the answer as well, and cannot be quoted.
        whole = not any(_is_of(line, region) and not is_known_normal(line.text) for line in reading.dropped)
        if apart and whole and all(map(reading.may_quote, lines)):
            question = choose(REGION, key, "region", part).format(are=region.verb, part=part)
            return [Asked("region", question, " ".join(line.text for line in _once(lines)), part)]
    return []


def _is_of(line: Line, region: Region) -> bool:
    if any(line.speaks(DEVICE_ROWS, Certainty.PRESENT)):  # "the line is kinked at the clavicle" is not of the bones
        return any(each.finding in region.rows for each in line.mentions)
    return any(each.finding in region.rows for each in line.mentions) or region.words.search(line.text) is not None


def _once(lines: Sequence[Line]) -> list[Line]:
    """Leave out sentences that another one says with more words: "Hyperinflated lungs" beside "clear and ..."."""
    words = [frozenset(_WORD.findall(line.text.lower())) - _EMPTY for line in lines]
    return [
        line
        for number, line in enumerate(lines)
        if not any(
            words[number] <= words[other] and (words[number] < words[other] or other < number) and _tells(more, line)
            for other, more in enumerate(lines)
            if other != number
        )
    ]


def _tells(more: Line, line: Line) -> bool:
    """Tell whether one sentence judges all findings of another as that one does."""
    own = {(each.finding, each.certainty, each.places) for each in line.mentions}
    return own <= {(each.finding, each.certainty, each.places) for each in more.mentions}
