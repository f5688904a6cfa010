"""How often findings are settled as there and as not there: what makes yes and no equally often for each of them.

Reports deny far more than they state: in Open-i a pneumothorax a hundred times as often. A model that is asked as it
comes learns to say no. So the commoner answer is asked about only as often as the rarer one occurs. A draw per study
cannot know the other studies, so it needs a table. `shares_among` makes it from an archive's own studies, which packing
does where there are 200 or more; the two tables here are for fewer, and for callers that have no archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.said import Said
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.draw import fraction

Shares = Mapping[str, tuple[float, float]]
"""By topic, and by "abnormal": the shares of studies in which it is settled as there, and as not there."""

OPENI: Shares = {
    "pleural effusion": (0.029, 0.5327),
    "pneumothorax": (0.0052, 0.5853),
    "enlarged heart": (0.0806, 0.7569),
    "wide mediastinum": (0.0039, 0.4589),
    "nodule": (0.031, 0.031),
    "consolidation": (0.0059, 0.4325),
    "airspace opacity": (0.0424, 0.398),
    "lung opacity": (0.0876, 0.2579),
    "pneumonia": (0.0116, 0.0384),
    "edema": (0.0082, 0.0545),
    "atelectasis": (0.0421, 0.2562),
    "fracture": (0.0193, 0.0055),
    "abnormal": (0.2944, 0.2518),
}
"""Measured on 2,983 reports of Open-i."""

HOSPITAL: Shares = {
    "pleural effusion": (0.24, 0.42),
    "pneumothorax": (0.046, 0.56),
    "enlarged heart": (0.20, 0.60),
    "wide mediastinum": (0.032, 0.42),
    "nodule": (0.028, 0.033),
    "consolidation": (0.047, 0.46),
    "airspace opacity": (0.10, 0.35),
    "lung opacity": (0.226, 0.20),
    "pneumonia": (0.073, 0.10),
    "edema": (0.12, 0.12),
    "atelectasis": (0.20, 0.15),
    "fracture": (0.019, 0.005),
    "abnormal": (0.60, 0.15),
}
"""A guess for inpatients: what is there as MIMIC-CXR's published labels count it (Johnson et al. 2019,
arXiv:1901.07042), what is not there as often as Open-i's radiologists deny what they do not see."""

_TABLES: Mapping[str, Shares] = {"openi": OPENI}


def shares_of(source: str) -> Shares:
    """Choose the table for a source.

    Args:
        source: Its name; one without a table is taken for a hospital.
    """
    return _TABLES.get(source, HOSPITAL)


def kept(name: str, *, holds: bool, shares: Shares, key: str, rate: float = 1.0) -> bool:
    """Draw whether a settled finding may be asked about.

    Args:
        name: The topic, or "abnormal".
        holds: Whether it is there.
        shares: How often it is.
        key: The study's key.
        rate: Ask so much less often than that.
    """
    there, absent = shares[name]
    own, other = (there, absent) if holds else (absent, there)
    return fraction(key, "kept", name) * own < rate * min(own, other)


def shares_among(studies: Iterable[Said]) -> dict[str, tuple[float, float]]:
    """Count how often each finding is settled, for an archive of one's own.

    Args:
        studies: Some of its studies, drawn by chance; two thousand are enough for all but the rarest findings.

    Returns:
        The table, in plain values.
    """
    counts: Counter[tuple[str, bool | None]] = Counter()
    number = 0
    for reading in map(read, studies):
        number += 1
        counts.update((topic.name, reading.settles(topic)) for topic in TOPICS)
        counts["abnormal", reading.abnormal] += 1
    # Half a study for what was never seen: a share of zero would never let its opposite be asked about.
    return {
        name: ((counts[name, True] + 0.5) / (number + 1), (counts[name, False] + 0.5) / (number + 1)) for name in OPENI
    }
