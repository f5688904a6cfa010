"""The 14 observations of CheXpert, read from a report by the rules of this project.

Enters report text; leaves for each observation whether it is present, absent, uncertain or not mentioned, on which
side and how severe. The names and the meaning of the four states are those of Irvin et al. 2019 (arXiv:1901.07031);
the rules are our own. It is neither the CheXpert labeler nor CheXbert, and its scores must not stand beside theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_lightning.findings.catalogue import BY_NAME
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import Mention, find_mentions
from cxr_lightning.findings.normality import is_sound, is_unsound, refuses
from cxr_lightning.findings.sentences import image_part
from cxr_lightning.findings.severity import Severity

NO_FINDING = "No Finding"
DEVICES = "Support Devices"

OBSERVATIONS: tuple[str, ...] = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    DEVICES,
)
"""All 14, in CheXpert's order."""

FIVE: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five on which CheXpert's competition, and most papers since, report."""

PARENTS: dict[str, str] = {
    "Cardiomegaly": "Enlarged Cardiomediastinum",
    "Lung Lesion": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Pneumonia": "Consolidation",
    "Atelectasis": "Lung Opacity",
}
"""CheXpert's hierarchy: what an observation is a case of. The labels themselves are not filled in by it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation as a whole report speaks of it.

    Attributes:
        certainty: PRESENT, ABSENT, UNCERTAIN, or UNMENTIONED.
        sides: "left", "right", both, or none where it is not said.
        severity: The highest step said, or None.
    """

    certainty: Certainty = Certainty.UNMENTIONED
    sides: frozenset[str] = frozenset()
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """A report in the 14 observations.

    Attributes:
        readings: One `Observation` by each name of `OBSERVATIONS`.
    """

    readings: dict[str, Observation]

    def __getitem__(self, name: str) -> Observation:
        """Returns one by its name."""
        return self.readings[name]

    def named(self, *certainties: Certainty) -> frozenset[str]:
        """Returns the names of the observations that are of one of these certainties."""
        return frozenset(name for name, each in self.readings.items() if each.certainty in certainties)

    @property
    def stated(self) -> frozenset[str]:
        """The names of what is present."""
        return self.named(Certainty.PRESENT)

    @property
    def implied(self) -> frozenset[str]:
        """What is present, and what CheXpert's hierarchy makes of it: consolidation is a lung opacity too."""
        names = set(self.stated)
        for name in self.stated:
            while name in PARENTS:
                name = PARENTS[name]
                names.add(name)
        return frozenset(names)


def observe(text: str) -> Observations:
    """Reads the 14 observations of a report.

    Where sentences differ, one that states a finding outweighs one that leaves it open, and that one outweighs a
    denial. "No Finding" is present where nothing but devices is stated or left open, and the text says that something
    is normal or denies something; a refusal, or a chest called abnormal, is not one without findings.

    Args:
        text: A report or a part of one.

    Returns:
        All 14.
    """
    mentions = list(find_mentions(text))
    by_name: dict[str, list[Mention]] = {}
    for mention in mentions:
        for name in BY_NAME[mention.finding].observations:
            by_name.setdefault(name, []).append(mention)
    readings = {name: _merge(by_name.get(name, ())) for name in OBSERVATIONS}
    readings[NO_FINDING] = Observation(_no_finding(text, readings))
    return Observations(readings)


_WEIGHT = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT)


def _merge(mentions: Iterable[Mention]) -> Observation:
    """Makes one reading of all mentions of an observation."""
    for certainty in _WEIGHT:
        chosen = [mention for mention in mentions if mention.certainty is certainty]
        if chosen:
            sides = frozenset(place.side for mention in chosen for place in mention.places if place.side)
            steps = [mention.severity for mention in chosen if mention.severity is not None]
            return Observation(certainty, sides, max(steps, default=None))
    return Observation()


def _no_finding(text: str, readings: dict[str, Observation]) -> Certainty:
    """Judges "No Finding" from the other thirteen: none of them, and a word that the chest is sound."""
    certainties = {each.certainty for name, each in readings.items() if name != DEVICES}
    if certainties & {Certainty.PRESENT, Certainty.UNCERTAIN}:
        return Certainty.UNMENTIONED
    about_image = image_part(text)
    if refuses(about_image) or is_unsound(about_image):
        return Certainty.UNMENTIONED
    spoken = Certainty.ABSENT in certainties or is_sound(about_image)
    return Certainty.PRESENT if spoken else Certainty.UNMENTIONED
