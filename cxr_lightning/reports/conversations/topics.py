"""The findings that can be asked about: how they are called, and how it is said that one is there or is not.

A topic is narrower than an observation of CheXpert's: "vascular congestion" is a case of Edema, and still no answer to
"is there pulmonary edema?".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cxr_lightning.findings.severity import Severity

Sizing = Literal["", "extent", "degree"]
"""Whether a finding is called small or large, or mild or severe."""
_EXTENT = {Severity.MILD: "small", Severity.MODERATE: "moderate", Severity.SEVERE: "large"}
_DEGREE = {Severity.MILD: "mild", Severity.MODERATE: "moderate", Severity.SEVERE: "severe"}


@dataclass(frozen=True, slots=True)
class Topic:
    """One finding that can be asked about.

    Attributes:
        name: Its own name, an identifier.
        rows: The rows of the labeler's catalogue that speak of it.
        observation: The observation that it is a case of.
        nouns: What it is called, with its article.
        kinds: The located labels without their places that say the same.
        sizing: How its size is spoken of.
        placed: Whether it is asked where it is.
        cleared: Whether "the lungs are clear" denies it.
        yes: How it is stated; `{it}` is the noun.
        no: How it is denied; `{bare}` is the noun without its article.
    """

    name: str
    rows: frozenset[str]
    observation: str
    nouns: tuple[str, ...]
    kinds: frozenset[str]
    sizing: Sizing = ""
    placed: bool = True
    cleared: bool = False
    yes: str = "there is {it}"
    no: str = "there is no {bare}"

    @property
    def graded(self) -> tuple[str, ...]:
        """The nouns that can be called mild or severe: an enlargement can, an enlarged heart cannot."""
        return tuple(noun for noun in self.nouns if not noun.startswith("an enlarged"))

    def size(self, severity: Severity) -> str:
        """Name a severity in the words that go with this finding."""
        return (_EXTENT if self.sizing == "extent" else _DEGREE)[severity]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TOPICS: tuple[Topic, ...] = (
    Topic(
        "pleural effusion",
        _set("pleural_effusion"),
        "Pleural Effusion",
        ("a pleural effusion", "pleural fluid"),
        _set("pleural_effusion"),
        "extent",
    ),
    Topic("pneumothorax", _set("pneumothorax"), "Pneumothorax", ("a pneumothorax",), _set("pneumothorax"), "extent"),
    Topic(
        "enlarged heart",
        _set("cardiomegaly enlarged_cardiomediastinum borderline_heart normal_heart normal_cardiomediastinum"),
        "Cardiomegaly",
        ("cardiomegaly", "an enlarged heart", "enlargement of the heart"),
        _set("cardiomegaly"),
        "degree",
        placed=False,
        yes="the heart is enlarged",
        no="the heart is not enlarged",
    ),
    Topic(
        "wide mediastinum",
        _set("wide_mediastinum normal_mediastinum enlarged_cardiomediastinum normal_cardiomediastinum"),
        "Enlarged Cardiomediastinum",
        ("a widened mediastinum", "mediastinal widening"),
        frozenset(),
        placed=False,
        yes="the mediastinum is widened",
        no="the mediastinum is not widened",
    ),
    Topic("nodule", _set("nodule"), "Lung Lesion", ("a nodule or mass", "a lung nodule or mass"), _set("nodule")),
    Topic(
        "consolidation",
        _set("consolidation"),
        "Consolidation",
        ("consolidation", "a consolidation"),
        _set("consolidation"),
        cleared=True,
    ),
    Topic(
        "airspace opacity",
        _set("airspace_opacity"),
        "Lung Opacity",
        ("an airspace opacity", "an infiltrate"),
        _set("consolidation"),
        cleared=True,
    ),
    Topic(
        "lung opacity",
        _set("opacity"),
        "Lung Opacity",
        ("a lung opacity", "an opacity in the lungs"),
        frozenset(),
        cleared=True,
    ),
    Topic("pneumonia", _set("pneumonia"), "Pneumonia", ("pneumonia",), _set("consolidation")),
    Topic(
        "edema",
        _set("interstitial_oedema"),
        "Edema",
        ("pulmonary edema", "pulmonary oedema", "edema of the lungs"),
        _set("interstitial_oedema"),
        "degree",
        placed=False,
    ),
    Topic(
        "atelectasis", _set("atelectasis"), "Atelectasis", ("atelectasis",), _set("atelectasis"), "degree", cleared=True
    ),
    Topic("fracture", _set("fracture"), "Fracture", ("a fracture", "a broken bone or fracture"), frozenset()),
)
"""What is asked about. A new one is a row, and a row in `frequencies`."""

DEVICE_ROWS = _set("device pacemaker line")
"""The catalogue's rows of what was put into a patient."""


def bare(noun: str) -> str:
    """Take a noun's article off.

    Args:
        noun: As in `Topic.nouns`.
    """
    return noun.removeprefix("a ").removeprefix("an ")
