"""The scores of `cxr evaluate`, on a few studies, while a model learns.

Enter studies and what the model now writes of them, with their own images and with another patient's; leave figures
`score/NAME` and `score/NAME_swapped`. Where the two part, the model has begun to look.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Scorer, Texts
from cxr_lightning.scoring.swaps import NoOtherPatientError, lent, swap_partners
from cxr_lightning.shards.question import labels_of, question_of, reference_of, truth_of
from cxr_lightning.shards.sample import RawSample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """One study, as the model is asked about it.

    Attributes:
        patient: Its hashed patient.
        question: The user's turn, with a mark for each image.
        images: As many encoded images as it marks.
        views: Position of each of them.
        reference: What the radiologist said.
        truth: The findings that are there.
    """

    patient: str
    question: str
    images: tuple[bytes, ...]
    views: tuple[str, ...]
    reference: str
    truth: frozenset[str]

    @classmethod
    def of(cls, sample: RawSample, encoder: Any) -> Asked:
        """Asks what the stage teaches; in conversations, for the whole report, as evaluation does.

        Args:
            sample: The study.
            encoder: The run's encoder.
        """
        question, reference = (turn["content"] for turn in encoder.turns(sample)[:2])
        if encoder.text == "conversation" and sample.images:
            question, reference = question_of(sample), reference_of(sample.record)
        count = question.count(IMAGE_MARK)
        return cls(
            patient=sample.record["patient"],
            question=question,
            images=tuple(sample.images.values())[:count],
            views=tuple(view["position"] for view in sample.record["views"][:count]),
            reference=reference,
            truth=truth_of(reference, labels_of(sample.record)),
        )


def swapped(studies: Sequence[Asked]) -> list[tuple[bytes, ...]] | None:
    """Lends each study the images of another patient, view by view.

    Args:
        studies: The studies.

    Returns:
        The images of each; None where there is nobody to lend them, or nothing to see.
    """
    if not all(study.images for study in studies):
        return None
    try:
        partners = swap_partners([study.patient for study in studies], [study.views for study in studies])
    except NoOtherPatientError:
        return None
    return [lent(studies[partner].images, len(study.images)) for study, partner in zip(studies, partners, strict=True)]


def scores(studies: Sequence[Asked], answers: Sequence[str], ending: str = "") -> dict[str, float]:
    """Scores answers.

    Args:
        studies: The studies.
        answers: What the model wrote, in the same order.
        ending: Of the figures' names.

    Returns:
        A figure for each score that has a value; none for one that fails, for a run may not end over a figure.
    """
    texts = Texts([study.reference for study in studies], answers, [study.truth for study in studies])
    found = {f"score/{scorer.name}{ending}": _score(scorer, texts) for scorer in SCORERS}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _score(scorer: Scorer, texts: Texts) -> float:
    try:
        sums = np.asarray(scorer.statistics(texts), dtype=np.float64).sum(axis=0, keepdims=True)
        return float(scorer.score_of(sums)[0])
    except Exception as error:
        log.warning("%s is not logged: it cannot be counted (%s)", scorer.name, type(error).__name__)
        return math.nan
