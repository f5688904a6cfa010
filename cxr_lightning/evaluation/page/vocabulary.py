"""In which labels the page marks texts and ranks studies: those that the verdict is about.

Where findings are known with their places, located labels; where only reports say what is there, the 14 observations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.findings.observations import NO_FINDING, OBSERVATIONS, observe


@dataclass(frozen=True)
class Vocabulary:
    """A way of reading texts.

    Attributes:
        name: What its labels are called.
        table: Its table in metrics.json.
        read: The labels that a text states.
        known: Whether a study's own truth is in these labels; else its reference is read.
        order: All labels in the order of tables.
    """

    name: str
    table: str
    read: Callable[[str], frozenset[str]]
    known: bool
    order: tuple[str, ...]

    def ordered(self, labels: Iterable[str]) -> list[str]:
        """Returns labels in the order of tables; unknown ones last."""
        place = {label: number for number, label in enumerate(self.order)}
        return sorted(labels, key=lambda label: (place.get(label, len(place)), label))


def _observed(text: str) -> frozenset[str]:
    return observe(text).stated - {NO_FINDING}


LOCATED = Vocabulary("located findings", "per_finding", find, True, LABELS)
OBSERVED = Vocabulary("observations", "per_observation", _observed, False, OBSERVATIONS)


def vocabulary_of(metrics: Mapping[str, Any]) -> Vocabulary:
    """Returns the vocabulary of the score that the verdict is about.

    Args:
        metrics: What stands in metrics.json.
    """
    return OBSERVED if str(metrics.get("headline", "")).startswith("observations") else LOCATED
