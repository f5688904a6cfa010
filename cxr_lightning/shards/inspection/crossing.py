"""What all shards' samples came to enters, what only all of them together show leaves: keys, patients, films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.inspection.alike import find_alike
from cxr_lightning.shards.inspection.checks import Findings, Severity
from cxr_lightning.shards.inspection.shard import Inspected
from cxr_lightning.shards.looks import Looks
from cxr_lightning.study import SPLITS


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples side by side.

    Attributes:
        shards: Names of the shards.
        shard: Place of each sample's shard.
        keys: Hashed keys.
        patients: Hashed patients.
        splits: Places in SPLITS.
        looks: (samples, 4).
        digests: Of images, (images, 2).
        films: Place of the sample of each image.
    """

    shards: tuple[str, ...]
    shard: NDArray[np.int64]
    keys: NDArray[np.bytes_]
    patients: NDArray[np.bytes_]
    splits: NDArray[np.uint8]
    looks: Looks
    digests: NDArray[np.uint64]
    films: NDArray[np.int64]

    def name(self, place: int) -> str:
        """Say where a sample is.

        Args:
            place: The sample.
        """
        return f"{self.key(place)} in {self.shards[self.shard[place]]}"

    def key(self, place: int) -> str:
        """Give its hashed key.

        Args:
            place: The sample.
        """
        return bytes(self.keys[place]).decode()


def gathered(shards: Sequence[Inspected]) -> Samples:
    """Put the samples of all shards side by side.

    Args:
        shards: What each came to; at least one.
    """
    lengths = [len(each.keys) for each in shards]
    starts = np.cumsum([0, *lengths[:-1]])
    return Samples(
        shards=tuple(each.name for each in shards),
        shard=np.repeat(np.arange(len(shards)), lengths),
        keys=np.concatenate([each.keys for each in shards]),
        patients=np.concatenate([each.patients for each in shards]),
        splits=np.concatenate([each.splits for each in shards]),
        looks=np.concatenate([each.looks for each in shards]),
        digests=np.concatenate([each.digests for each in shards]),
        films=np.concatenate([each.films + start for each, start in zip(shards, starts, strict=True)]),
    )


def cross(samples: Samples, findings: Findings, *, packed: bool) -> None:
    """Hold all samples against one another.

    Args:
        samples: All samples.
        findings: Takes what is wrong.
        packed: Whether `cxr pack` wrote them, which leaves films out that stand twice.
    """
    _keys(samples, findings)
    _patients(samples, findings)
    same = _duplicates(samples, findings, packed=packed)
    _alike(samples, findings, same)


def _keys(samples: Samples, findings: Findings) -> None:
    for first, again in _again(samples.keys):
        if samples.shard[first] != samples.shard[again]:  # inside a tar it was told when that was read
            told = f"this key is also in {samples.shards[samples.shard[first]]}"
            _add(findings, samples, again, "keys", told)


def _patients(samples: Samples, findings: Findings) -> None:
    _, which, times = np.unique(samples.patients, return_inverse=True, return_counts=True)
    order = np.argsort(which.ravel(), kind="stable")
    edges = np.cumsum([0, *times])
    for low, high in zip(edges[:-1][times > 1].tolist(), edges[1:][times > 1].tolist(), strict=True):
        mine = order[low:high]
        others = mine[samples.splits[mine] != samples.splits[mine[0]]]
        if not len(others):
            continue
        first, other = int(mine[0]), int(others[0])
        told = (
            f"its patient {bytes(samples.patients[first]).decode()} is in {_split(samples, other)} by it and in "
            f"{_split(samples, first)} by {samples.name(first)}: scores on such data mean nothing"
        )
        _add(findings, samples, other, "splits", told)


def _duplicates(samples: Samples, findings: Findings, *, packed: bool) -> set[tuple[int, int]]:
    same: set[tuple[int, int]] = set()
    values = np.ascontiguousarray(samples.digests).view("V16").ravel()
    for one, two in _again(values):
        first, again = int(samples.films[one]), int(samples.films[two])
        if (first, again) in same:
            continue
        same.add((first, again))
        if first == again:
            # `cxr pack` keeps such a study: its other images and its text are nobody else's.
            told = "two of its images have the same pixels: its second view shows nothing new"
            _add(findings, samples, again, "duplicates", told, "warning")
            continue
        across = samples.splits[first] != samples.splits[again]
        where = f", of {_split(samples, first)}: what is learned from is tested on" if across else ""
        told = f"the same pixels, to the last one, as in {samples.name(first)}{where}"
        _add(findings, samples, again, "duplicates", told, "error" if packed or across else "warning")
    return same


def _alike(samples: Samples, findings: Findings, same: set[tuple[int, int]]) -> None:
    found = find_alike(samples.looks)
    for one, two in zip(found.one.tolist(), found.two.tolist(), strict=True):
        if samples.patients[one] == samples.patients[two] or (one, two) in same:
            continue
        across = samples.splits[one] != samples.splits[two]
        where = (
            f", IN ANOTHER SPLIT: this one is of {_split(samples, two)}, that one of {_split(samples, one)}"
            if across
            else ""
        )
        told = f"nearly the same film as {samples.name(one)}, of another patient{where}"
        _add(findings, samples, two, "alike", told, "warning")
    if found.left_out:
        told = f"{found.left_out} looks are like so many others that not all were compared"
        findings.add("alike", told, severity="warning")


def _again(values: NDArray[np.void] | NDArray[np.bytes_]) -> list[tuple[int, int]]:
    """Pair each value that stood before with the place where it first stood."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    firsts = first[which.ravel()]
    again = np.flatnonzero(firsts != np.arange(len(values)))
    return list(zip(firsts[again].tolist(), again.tolist(), strict=True))


def _split(samples: Samples, place: int) -> str:
    return SPLITS[samples.splits[place]]


def _add(findings: Findings, samples: Samples, place: int, check: str, what: str, severity: Severity = "error") -> None:
    findings.add(check, what, shard=samples.shards[samples.shard[place]], key=samples.key(place), severity=severity)
