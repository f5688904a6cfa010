"""Patients enter, their split leaves: train, validate or test, the same on every machine and in every later year.

A patient's split is read off a hash of the patient, never drawn, so adding patients moves nobody, and every study of a
patient lands in one split. Where a source prescribes splits, they win, and a patient prescribed to two is an error.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from cxr_lightning.study import SPLITS, Split


@dataclass(frozen=True)
class Fractions:
    """Shares of patients.

    Args:
        train: Share that is learned from.
        validate: Share that is looked at while training.
        test: Share that is looked at once.
        salt: Draws other splits with the same shares.
    """

    train: float = 0.8
    validate: float = 0.1
    test: float = 0.1
    salt: str = ""

    def __post_init__(self) -> None:
        shares = [self.train, self.validate, self.test]
        if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
            named = ", ".join(f"--split.{name} {share:g}" for name, share in zip(SPLITS, shares, strict=True))
            raise ValueError(f"{named}: shares must be 0 to 1 and sum to 1, not {sum(shares):g}")


@dataclass(frozen=True, slots=True)
class Prescribed:
    """What a source says about one study's split.

    Attributes:
        patient: Hashed patient.
        split: The split, or None where the source leaves it open.
        where: File and lines of the study.
    """

    patient: str
    split: Split | None
    where: str


class SplitConflict(ValueError):
    """A source puts one patient into two splits."""


def split_of(patient: str, fractions: Fractions) -> Split:
    """Read a patient's split off its hash.

    Args:
        patient: Hashed patient.
        fractions: The shares.
    """
    digest = hashlib.blake2b(patient.encode(), digest_size=7, person=b"split", salt=_salt(fractions.salt)).digest()
    place = (int.from_bytes(digest, "big") >> 3) / (1 << 53)
    if place < fractions.train:
        return "train"
    # Compared from the far end, so that a share of 0 stays empty whatever the rounding.
    return "test" if place >= 1.0 - fractions.test else ("validate" if fractions.validate > 0 else "train")


def assign_splits(studies: Iterable[Prescribed], fractions: Fractions) -> dict[str, Split]:
    """Give every patient one split.

    Args:
        studies: What the source prescribes, study by study.
        fractions: Shares for patients of whom the source says nothing.

    Returns:
        Hashed patient to split.

    Raises:
        SplitConflict: A patient is prescribed to two splits.
    """
    first: dict[str, Prescribed] = {}
    patients: dict[str, None] = {}
    for study in studies:
        patients.setdefault(study.patient)
        if study.split is None:
            continue
        earlier = first.setdefault(study.patient, study)
        if earlier.split != study.split:
            raise SplitConflict(
                f"patient {study.patient} (hashed) is in '{earlier.split}' at {earlier.where} and in '{study.split}' "
                f"at {study.where}: what is learned from would be tested on. Give all studies of a patient one split, "
                "or empty the split column and let the patient's hash decide"
            )
    return {
        patient: prescribed.split
        if (prescribed := first.get(patient)) is not None and prescribed.split is not None
        else split_of(patient, fractions)
        for patient in patients
    }


def _salt(words: str) -> bytes:
    return hashlib.blake2b(words.encode(), digest_size=16).digest() if words else b""
