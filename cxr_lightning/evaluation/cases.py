"""The studies that a model is asked about, read from the shards of one split.

Enters a folder of shards; leaves `Case`s: what is asked, what is shown, what a radiologist said, and what is known to
be true. Images stay encoded, so a split of thousands fits in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.shards.contract import IMAGE_MARK, ShardError
from cxr_lightning.shards.index import ShardIndex
from cxr_lightning.shards.question import labels_of, question_of, reference_of, truth_of
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.study import Split

# The commonest text of a large archive shows in a part of it; reading 270,000 studies for one sentence would not pay.
_ENOUGH = 5000


class NoCaseError(ValueError):
    """The split holds no study that could be evaluated."""


@dataclass(frozen=True, slots=True)
class Case:
    """One study as evaluation needs it.

    Attributes:
        key: Its key in the shards.
        patient: Its hashed patient.
        prompt: The question that the reference answers, `<image>` where each image goes.
        images: As many encoded images as the prompt marks, the primary view first.
        views: Position of each of them, so that like is swapped for like.
        reference: What the radiologist said.
        labels: What is known to be there, in the words of `located.LABELS`; None where only the reference tells.
        study: Its name as its record has it: a hash, or with --keep_study_ids the source's own.
        split: Its split.
        indication: Why it was done.
        findings: The reference's findings.
        impression: The reference's impression.
    """

    key: str
    patient: str
    prompt: str
    images: tuple[bytes, ...]
    views: tuple[str, ...]
    reference: str
    labels: frozenset[str] | None
    study: str = ""
    split: Split = "test"
    indication: str = ""
    findings: str = ""
    impression: str = ""

    @property
    def truth(self) -> frozenset[str]:
        """The findings that count as there: the known labels, else what the reference states."""
        return truth_of(self.reference, self.labels)


def read_cases(index: ShardIndex, split: Split, *, limit: int | None = None) -> list[Case]:
    """Reads the studies of a split.

    Args:
        index: The shards.
        split: Which split.
        limit: At most so many studies, the same ones every time; None takes all.

    Returns:
        The cases in the order of the shards.

    Raises:
        NoCaseError: If there is none.
        ShardError: If a shard does not hold what its index says, or a question marks more images than are stored.
    """
    columns = index.split(split)
    chosen = np.flatnonzero(columns.images)  # with text alone there is nothing to look at
    if limit is not None and limit < len(chosen):
        # Keys are hashes, so the smallest ones are a fair sample, and the same one whatever the order of packing.
        chosen = np.sort(chosen[np.argsort(columns.rows["key"][chosen])[:limit]])
    cases = [_case(sample) for sample in map(columns.read, chosen.tolist()) if sample.record["conversation"]]
    if not cases:
        there = ", ".join(f"{name}: {counts['samples']}" for name, counts in index.counts.items())
        raise NoCaseError(
            f"The {split} split of {index.root} has no study with a conversation ({there}). Choose another --split."
        )
    return cases


def training_references(index: ShardIndex, split: Split) -> list[str]:
    """Reads what a model may have learned by heart: the texts of the training studies.

    Args:
        index: The shards.
        split: The split to take them from if there are no training studies.

    Returns:
        Those of the first 5,000 studies.
    """
    columns = index.split("train")
    columns = columns if len(columns) else index.split(split)
    return [reference_of(columns.read(number).record) for number in range(min(_ENOUGH, len(columns)))]


def commonest(texts: Sequence[str]) -> str:
    """Finds the answer that a model would learn that never looks.

    Args:
        texts: What there was to learn.

    Returns:
        The commonest of them; of equally common ones the first in the alphabet.
    """
    return min(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))[0]


def _case(sample: RawSample) -> Case:
    record = sample.record
    prompt = question_of(sample)
    views = record["views"][: prompt.count(IMAGE_MARK)]
    if len(views) < prompt.count(IMAGE_MARK):
        raise ShardError(
            f"Sample {sample.key}: its question marks {prompt.count(IMAGE_MARK)} images with {IMAGE_MARK}, and "
            f"{len(views)} are stored. Remedy: pack the source again; `cxr pack` now names such studies."
        )
    return Case(
        key=sample.key,
        patient=record["patient"],
        prompt=prompt,
        images=tuple(sample.images[view["member"]] for view in views),
        views=tuple(view["position"] for view in views),
        reference=reference_of(record),
        labels=labels_of(record),
        study=record["study"],
        split=record["split"],
        indication=record["indication"],
        findings=record["findings"],
        impression=record["impression"],
    )
