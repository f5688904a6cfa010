"""Folders that `cxr evaluate` wrote enter; leave the studies that all of them answered, and who answered what.

The sample is drawn by a seed from the studies in the order of their keys, so that it is the same whichever folder
comes first.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.evaluation.judge.trouble import JudgeError


@dataclass(frozen=True)
class Study:
    """One study, as the radiologist saw it.

    Attributes:
        key: Its key.
        patient: Whose it is, hashed.
        reference: What the radiologist said.
        truth: The located findings that are there.
    """

    key: str
    patient: str
    reference: str
    truth: frozenset[str]


@dataclass(frozen=True)
class System:
    """One model, by what it said.

    Attributes:
        name: How it is called; no two have one name.
        own: Its answer to each study's own image, by key.
        swapped: Its answer to another patient's image instead, by key; empty if that was not asked.
    """

    name: str
    own: Mapping[str, str]
    swapped: Mapping[str, str]


@dataclass(frozen=True)
class Material:
    """What there is to judge.

    Attributes:
        systems: The models.
        pool: The studies that all of them answered, by key.
        sample: Keys of those that are judged.
    """

    systems: Sequence[System]
    pool: Mapping[str, Study]
    sample: Sequence[str]


def read_material(folders: Sequence[Path], *, studies: int, seed: int) -> Material:
    """Reads what models said, and draws the studies to be judged.

    Args:
        folders: Folders that `cxr evaluate` wrote.
        studies: How many studies; all if there are fewer.
        seed: Seed of the draw.

    Raises:
        PredictionsError: A folder holds no answers.
        JudgeError: Two folders disagree about a reference, or no study is in all of them.
    """
    read = [_read(folder) for folder in folders]
    keys = sorted(set.intersection(*(set(found) for found, _ in read)))
    if not keys:
        raise JudgeError(
            f"No study is in all of {', '.join(map(str, folders))}. Remedy: evaluate the models on the same split."
        )
    for (found, _), folder in zip(read[1:], folders[1:], strict=True):
        other = next((key for key in keys if found[key].reference != read[0][0][key].reference), None)
        if other is not None:
            raise JudgeError(
                f"{folder}: study {other} has another reference than in {folders[0]}. "
                "Remedy: evaluate both models on the same shards."
            )
    names = _names(folders)
    systems = [
        System(name, answers.get("own", {}), answers.get("swapped", {}))
        for name, (_, answers) in zip(names, read, strict=True)
    ]
    chosen = random.Random(seed).sample(keys, len(keys))[:studies]  # a larger sample holds the smaller one
    return Material(systems, {key: read[0][0][key] for key in keys}, sorted(chosen))


def _read(folder: Path) -> tuple[dict[str, Study], dict[str, dict[str, str]]]:
    """Returns the studies by key, and the answers by condition and key."""
    # Here, not above: it brings torch, for which --help must not wait.
    from cxr_lightning.evaluation.predictions import read_predictions

    studies, answers = dict[str, Study](), dict[str, dict[str, str]]()
    for row in read_predictions(folder):
        answers.setdefault(row["condition"], {})[row["key"]] = row["answer"]
        if row["condition"] == "own":
            studies[row["key"]] = Study(row["key"], row["patient"], row["reference"], frozenset(row["truth"]))
    return studies, answers


def _names(folders: Sequence[Path]) -> list[str]:
    """Names models as metrics.json does; where two have one name, the folder tells them apart."""
    names = [_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{name} ({folder.resolve().name})" for name, folder in zip(names, folders, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    return names


def _name(folder: Path) -> str:
    try:
        name = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, LookupError, TypeError):
        name = None
    return str(name) if name else folder.resolve().name
