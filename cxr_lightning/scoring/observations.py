"""How well an answer reports the 14 observations that its reference reports, as this project's rules read both.

Enters texts; leaves F1 over the 14 and over the usual five, what is invented and left out, how normal studies fare, and
whether sides and severity agree. What is left open ("possible pneumonia") counts as not stated, since a reader could
not act on it; one score counts it as stated, as the package f1chexbert does in its mode for generated reports.

Shapes: N studies, D draws of the bootstrap, L observations, and 3 for (hit, invented, missed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.observations import FIVE, NO_FINDING, OBSERVATIONS, Observation, Observations, observe
from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.labels import INVENTED, MISSED, count_labels, macro_f1, micro_f1, score_labels
from cxr_lightning.scoring.scorer import Scorer, Texts

FINDINGS = tuple(name for name in OBSERVATIONS if name != NO_FINDING)
"""The 13 that are something to find."""

METHOD = (
    "cxr_lightning rules over CheXpert's 14 observations, uncertain counted as not stated; not CheXbert, not CheXpert"
)
"""How the observations came about, for tables."""

_STATED = (Certainty.PRESENT,)
_STATED_OR_OPEN = (Certainty.PRESENT, Certainty.UNCERTAIN)


@lru_cache(maxsize=1 << 16)
def _read(text: str) -> Observations:
    """Reads a text once for all scores."""
    return observe(text)


def count_observations(
    texts: Texts, names: Sequence[str] = OBSERVATIONS, certainties: Sequence[Certainty] = _STATED
) -> NDArray[np.int64]:
    """Counts hits, inventions and misses of every observation in every study.

    Args:
        texts: References and answers; what is there is what the rules read in the reference.
        names: The observations that count.
        certainties: What counts as stated, on both sides.

    Returns:
        Counts (N, L, 3).
    """
    there = [_read(text).named(*certainties) for text in texts.references]
    stated = [_read(text).named(*certainties) for text in texts.answers]
    return count_labels(there, stated, names)


def per_observation(
    texts: Texts, patients: Sequence[str] | None = None, *, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Makes the table of the 14.

    Args:
        texts: References and answers.
        patients: Patient of each study, for the intervals.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Returns:
        By observation, for each that was there or was stated at least once: `f1` with its `interval` (ends None where
        they are not known), `precision`, `recall` (None where undefined), `support`, `hits`, `invented`, `missed`; and,
        of the hits, in how many both texts say a side and a severity (`sides_said`, `severity_said`) and in how many
        they are the same (`sides_agree`, `severity_agrees`); and how many references and answers leave it open
        (`uncertain_references`, `uncertain_answers`).
    """
    rows = score_labels(count_observations(texts), patients=patients, labels=OBSERVATIONS, draws=draws, seed=seed)
    return {
        row.label: {
            "f1": row.f1.value,
            "interval": row.f1.ends,
            "precision": row.hits / (row.hits + row.invented) if row.hits + row.invented else None,
            "recall": row.hits / row.support if row.support else None,
            "support": row.support,
            "hits": row.hits,
            "invented": row.invented,
            "missed": row.missed,
            **_agreement(texts, row.label),
        }
        for row in rows
    }


def _agreement(texts: Texts, name: str) -> dict[str, int]:
    """Counts what else two texts say of one observation."""
    pairs = [(_read(one)[name], _read(other)[name]) for one, other in zip(texts.references, texts.answers, strict=True)]
    said = {key: [_same(one, other, key) for one, other in pairs] for key in ("sides", "severity")}
    return {
        "sides_said": sum(same is not None for same in said["sides"]),
        "sides_agree": sum(same is True for same in said["sides"]),
        "severity_said": sum(same is not None for same in said["severity"]),
        "severity_agrees": sum(same is True for same in said["severity"]),
        "uncertain_references": sum(one.certainty is Certainty.UNCERTAIN for one, _ in pairs),
        "uncertain_answers": sum(other.certainty is Certainty.UNCERTAIN for _, other in pairs),
    }


def _same(one: Observation, other: Observation, key: str) -> bool | None:
    """Says whether two readings that state an observation agree on sides or severity; None if one does not say."""
    if one.certainty is not Certainty.PRESENT or other.certainty is not Certainty.PRESENT:
        return None
    said = getattr(one, key), getattr(other, key)
    return said[0] == said[1] if said[0] and said[1] else None


def _counts_of(
    names: Sequence[str], certainties: Sequence[Certainty] = _STATED
) -> Callable[[Texts], NDArray[np.int64]]:
    """Makes the statistics of an F1 over some observations."""
    return lambda texts: count_observations(texts, names, certainties)


def _agreements_of(key: str) -> Callable[[Texts], NDArray[np.float64]]:
    """Makes the statistics (N, 2) of sides or severities that agree, and that both texts say."""

    def statistics(texts: Texts) -> NDArray[np.float64]:
        rows = np.zeros((len(texts.references), 2))
        for number, (one, other) in enumerate(zip(texts.references, texts.answers, strict=True)):
            said = [_same(_read(one)[name], _read(other)[name], key) for name in FINDINGS]
            rows[number] = sum(same is True for same in said), sum(same is not None for same in said)
        return rows

    return statistics


def _normals(texts: Texts) -> NDArray[np.float64]:
    """Statistics (N, 2): normal references whose answer is normal too, and normal references."""
    normal = [[NO_FINDING in _read(text).stated for text in side] for side in (texts.references, texts.answers)]
    normal_2N = np.array(normal, dtype=bool).reshape(2, len(texts.references))
    return np.stack([normal_2N.all(axis=0), normal_2N[0]], axis=1).astype(np.float64)


def _errors_of(position: int) -> Callable[[Texts], NDArray[np.float64]]:
    """Makes the statistics (N, 2) of inventions or misses in each study, and 1 a study."""

    def statistics(texts: Texts) -> NDArray[np.float64]:
        errors_N = count_observations(texts, FINDINGS)[:, :, position].sum(axis=1)
        return np.stack([errors_N, np.ones_like(errors_N)], axis=1).astype(np.float64)

    return statistics


SCORERS = (
    Scorer(
        "observations_micro_f1",
        "14 observations, micro F1",
        "what the reference states and the answer states too, every statement weighing the same",
        "observations",
        _counts_of(OBSERVATIONS),
        micro_f1,
    ),
    Scorer(
        "observations_macro_f1",
        "14 observations, macro F1",
        "the same, rare observations weighing as much as common ones",
        "observations",
        _counts_of(OBSERVATIONS),
        macro_f1,
    ),
    Scorer(
        "observations_5_micro_f1",
        "Usual five, micro F1",
        "atelectasis, cardiomegaly, consolidation, edema, pleural effusion",
        "observations",
        _counts_of(FIVE),
        micro_f1,
    ),
    Scorer(
        "observations_5_macro_f1",
        "Usual five, macro F1",
        "the same five, each weighing the same",
        "observations",
        _counts_of(FIVE),
        macro_f1,
    ),
    Scorer(
        "observations_open_micro_f1",
        "14 observations, micro F1, uncertain as stated",
        "what is left open counts as stated in both texts, as f1chexbert has it",
        "observations",
        _counts_of(OBSERVATIONS, _STATED_OR_OPEN),
        micro_f1,
    ),
    Scorer(
        "normal_specificity",
        "Specificity where none of the 13 is there",
        "share of references without a finding whose answer states and suspects none either",
        "observations",
        _normals,
        ratio_of_sums,
    ),
    Scorer(
        "hallucinated_per_report",
        "Hallucinated findings a report",
        "observations stated by the answer and not by the reference",
        "observations",
        _errors_of(INVENTED),
        ratio_of_sums,
        "lower",
    ),
    Scorer(
        "omitted_per_report",
        "Omitted findings a report",
        "observations stated by the reference and not by the answer",
        "observations",
        _errors_of(MISSED),
        ratio_of_sums,
        "lower",
    ),
    Scorer(
        "observation_sides",
        "Sides that agree",
        "of observations that both state with a side, the share on the same one",
        "observations",
        _agreements_of("sides"),
        ratio_of_sums,
    ),
    Scorer(
        "observation_severity",
        "Severities that agree",
        "of observations that both state with a severity, the share of the same step",
        "observations",
        _agreements_of("severity"),
        ratio_of_sums,
    ),
)
