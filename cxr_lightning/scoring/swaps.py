"""Whose image stands in for whose, when a model is scored with another patient's radiograph.

Enters the patient and the views of each study; leaves, for each, the study whose images it gets. Views are matched (a
frontal film is swapped for a frontal one), since a model that merely notices a strange view would look as if it read
the image. What a model scores on swapped images it knows from the words alone.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

Image = TypeVar("Image")


class NoOtherPatientError(ValueError):
    """All studies are one patient's, so no image of another patient is there to swap in."""


def swap_partners(patients: Sequence[str], views: Sequence[Hashable], *, seed: int = 0) -> list[int]:
    """Chooses for every study another patient's study with the same views.

    Where no patient has more than half of the studies with the same views, every study lends its images exactly once.

    Args:
        patients: Patient of each study.
        views: Something equal for studies whose views match.
        seed: Seed of the choice.

    Returns:
        For each study, the position of the one that lends its images.

    Raises:
        NoOtherPatientError: If there is only one patient.
    """
    if len(set(patients)) < 2:
        raise NoOtherPatientError(
            f"Found {len(set(patients))} patient(s) in {len(patients)} studies: images can be swapped only among two "
            "or more. Evaluate more studies (--limit) or another split (--split)."
        )
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for study, view in enumerate(views):
        groups[view].append(study)
    partners = [-1] * len(patients)
    everyone = list(range(len(patients)))
    for members in groups.values():
        # A view that only one patient has cannot be matched; another view is better than the patient's own image.
        lenders = members if len({patients[study] for study in members}) > 1 else everyone
        for study, partner in _partners_within(members, lenders, patients, seed):
            partners[study] = partner
    return partners


def lent(images: Sequence[Image], wanted: int) -> tuple[Image, ...]:
    """Lends a study's images to another one.

    A lender without a lateral film repeats what it has: the question asks for as many images as it marks.

    Args:
        images: What the lender has, one at least.
        wanted: How many the borrower's question shows.
    """
    return tuple(images[min(number, len(images) - 1)] for number in range(wanted))


def _partners_within(
    members: list[int], lenders: list[int], patients: Sequence[str], seed: int
) -> list[tuple[int, int]]:
    """Pairs members with lenders: side by side by patient, then shifted past the largest patient."""
    order = _by_patient(lenders, patients, seed)
    shift = max(Counter(patients[study] for study in order).values())
    place = {study: position for position, study in enumerate(order)}
    pairs = []
    for study in members:
        position = place[study] + shift
        while patients[order[position % len(order)]] == patients[study]:
            position += 1
        pairs.append((study, order[position % len(order)]))
    return pairs


def _by_patient(studies: list[int], patients: Sequence[str], seed: int) -> list[int]:
    """Shuffles patients, and keeps each one's studies side by side."""
    names = sorted({patients[study] for study in studies})
    random.Random(seed).shuffle(names)
    rank = {name: position for position, name in enumerate(names)}
    return sorted(studies, key=lambda study: (rank[patients[study]], study))
