"""Shards that were made enter, a mark for each sample with a film that an earlier one has leaves.

Two JPEGs of other bytes may still decode to the same pixels, which is what a training would see twice. To decode every
one again would cost a tenth of a pack; but the same pixels look the same, so only samples whose looks are equal to the
last bit are decoded, which in an archive is hardly one that is no twin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.images import load_gray
from cxr_lightning.shards.pixels import pixels_digest
from cxr_lightning.shards.rows import Row
from cxr_lightning.shards.sample import read_sample
from cxr_lightning.shards.workshop import Made

Marks = NDArray[np.bool_]
"""(N) of a shard's samples."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Samples with a film that an earlier sample has, of those that are kept.

    Attributes:
        marks: In each shard, which they are.
        first: The number of each in the plan, and that of the study that has its film first.
    """

    marks: tuple[Marks, ...]
    first: Mapping[int, int]


def find_twins(made: Sequence[Made], tars: Path, *, drop: bool) -> Twins:
    """Finds films that stand twice.

    Args:
        made: All shards, in order.
        tars: The folder where they are.
        drop: Whether marked samples will be left out: then what only they have is nobody's twin.

    Raises:
        ShardError: A tar cannot be read.
    """
    seen: dict[str, int] = {}
    found, first = [], dict[int, int]()
    decoded = _decoded(made, tars)
    for number, each in enumerate(made):
        again = np.zeros(len(each.films), dtype=np.bool_)
        for place, films in enumerate(each.films):
            known = {*films, *decoded.get((number, place), ())}
            if same := [seen[film] for film in known if film in seen]:
                again[place], first[each.numbers[place]] = True, min(same)
            if not (drop and same):
                for film in known:
                    seen.setdefault(film, each.numbers[place])
        found.append(again)
    return Twins(tuple(found), first)


def _decoded(made: Sequence[Made], tars: Path) -> dict[tuple[int, int], tuple[str, ...]]:
    """Returns digests of the decoded pixels, by shard and sample, of samples that look the same but differ in bytes."""
    alike = _alike(made)
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    for number, each in enumerate(made):
        places = [place for place in np.flatnonzero(alike[number]).tolist() if each.films[place]]
        if places:
            (rows,) = each.shard.rows.values()
            with (tars / each.shard.name).open("rb") as file:
                for place in places:
                    row = Row(*rows[place].tolist())
                    images = map(load_gray, read_sample(file, row.offset, row.size).images.values())
                    found[number, place] = tuple(
                        pixels_digest(gray).hex() for gray in images if gray.min() < gray.max()
                    )
    return found


def _alike(made: Sequence[Made]) -> list[Marks]:
    """Marks the samples whose look another one has whose first film is of other bytes."""
    if not made:
        return []
    looks = np.concatenate([rows["look"] for each in made for rows in each.shard.rows.values()])
    names = np.ascontiguousarray(looks.astype(">u8")).view("S32").ravel()
    _, group, many = np.unique(names, return_inverse=True, return_counts=True)
    shared = (many[group] > 1) & looks.any(axis=1)
    edges = np.cumsum([len(each.films) for each in made])[:-1]
    parts, groups = np.split(shared, edges), np.split(group, edges)
    films: dict[int, set[str]] = {}
    for each, marks, numbers in zip(made, parts, groups, strict=True):
        for place in np.flatnonzero(marks).tolist():
            films.setdefault(int(numbers[place]), set()).update(each.films[place][:1])
    several = [number for number, digests in films.items() if len(digests) > 1]
    return [marks & np.isin(numbers, several) for marks, numbers in zip(parts, groups, strict=True)]
