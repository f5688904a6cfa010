"""What is to be read: the answers of several systems to the same studies, and the films of those studies.

Enters folders that `cxr evaluate` wrote and the shards that they were scored on; leaves `Study`s: films shrunk for a
page, and what each system said. Only answers to a study's own images are taken, and the radiologist's report as one
more system.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxr_lightning.shards.images import ImageError, encode, load_gray, shrink
from cxr_lightning.shards.index import ShardIndex, read_index
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.shards.splitindex import SplitIndex

if TYPE_CHECKING:
    from cxr_lightning.evaluation.predictions import Row

RADIOLOGIST = "radiologist"
"""What the radiologist's report is called among the systems."""

_QUALITY = 92


class ReadingError(ValueError):
    """Folders of answers that cannot be read side by side, or a page that would replace one that is being read."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film as the page shows it.

    Attributes:
        position: frontal, lateral or other.
        data: A JPEG.
        width: In pixels.
        height: In pixels.
    """

    position: str
    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Study:
    """One study to be read.

    Attributes:
        key: Its key in the shards.
        patient: Its hashed patient.
        films: One film or two, the frontal one first.
        reports: What each system said, by the system's name.
    """

    key: str
    patient: str
    films: tuple[Film, ...]
    reports: dict[str, str]


@dataclass(frozen=True, slots=True)
class System:
    """One folder of `cxr evaluate`.

    Attributes:
        name: What its model is called; different from all others.
        folder: Where it lies.
        metrics: Its metrics.json.
        rows: Its answers to the studies' own images, by key.
    """

    name: str
    folder: Path
    metrics: dict[str, Any]
    rows: dict[str, Row]


def read_systems(folders: Sequence[Path]) -> list[System]:
    """Reads folders that `cxr evaluate` wrote, and sees that they are about the same studies.

    Args:
        folders: The folders, one a system.

    Returns:
        The systems, each with a name of its own: its model's, or its folder's where two models are called the same.

    Raises:
        ReadingError: A folder lacks its metrics, or they were not scored on the same split of the same shards.
        PredictionsError: A folder lacks its answers.
    """
    metrics = [_metrics(folder) for folder in folders]
    models = [str(each["model"]) for each in metrics]
    names = [
        model if models.count(model) == 1 and model != RADIOLOGIST else str(folder)
        for model, folder in zip(models, folders, strict=True)
    ]
    if len(set(names)) < len(names):
        raise ReadingError(f"The same folder is given twice: {', '.join(names)}. Remedy: name each system once.")
    for name, other in zip(names, metrics, strict=True):
        for what in ("shards", "split"):
            if other[what] != metrics[0][what]:
                raise ReadingError(
                    f"{name} was scored on {what} {str(other[what])[:16]!r}, {names[0]} on "
                    f"{str(metrics[0][what])[:16]!r}: they have not seen the same studies. "
                    "Remedy: evaluate both on the same split of the same shards."
                )
    return [
        System(name, folder, each, _own_answers(folder))
        for name, folder, each in zip(names, folders, metrics, strict=True)
    ]


def choose_studies(systems: Sequence[System], most: int) -> list[str]:
    """Chooses studies that every system answered, the same ones every time.

    Args:
        systems: The systems.
        most: How many.

    Returns:
        Keys, in an order that says nothing of how well they were answered.

    Raises:
        ReadingError: There is no study that all of them answered.
    """
    common = set.intersection(*(set(system.rows) for system in systems))
    if not common:
        names = ", ".join(system.name for system in systems)
        raise ReadingError(
            f"No study was answered by all of {names}. Remedy: evaluate them with the same --split and --limit."
        )
    return sorted(common, key=lambda key: hashlib.sha256(key.encode()).digest())[:most]


def open_shards(systems: Sequence[System], shards: str | None) -> ShardIndex:
    """Opens the shards that the systems were scored on.

    Args:
        systems: The systems.
        shards: Where the shards are; None takes the place that the evaluation wrote down.

    Raises:
        ReadingError: No place is known, or other shards lie there.
    """
    metrics = systems[0].metrics
    root = shards or metrics.get("shards_root")
    if not root:
        raise ReadingError(f"{systems[0].folder} does not say where its shards are. Remedy: name them with --shards.")
    index = read_index(root)
    if index.fingerprint != metrics["shards"]:
        raise ReadingError(
            f"{root} holds shards {index.fingerprint[:16]}, and the answers are about {str(metrics['shards'])[:16]}. "
            "Remedy: name with --shards those that were evaluated."
        )
    return index


def read_study(split: SplitIndex, number: int, systems: Sequence[System], *, truth: bool, size: int) -> Study:
    """Reads the films of a study, and sets beside them what was said.

    Args:
        split: The split that holds it.
        number: Its place there.
        systems: The systems.
        truth: Whether the radiologist's report is among them.
        size: Longest side of a film in pixels; nothing is enlarged.

    Raises:
        ReadingError: A film cannot be read.
    """
    sample = split.read(number)
    rows = {system.name: system.rows[sample.key] for system in systems}
    reports = {name: _text(row["answer"]) for name, row in rows.items()}
    if truth:
        reports[RADIOLOGIST] = _text(next(iter(rows.values()))["reference"])
    try:
        films = tuple(_film(position, data, size) for position, data in _views(sample))
    except ImageError as error:
        raise ReadingError(f"Study {split.label(number)}: a film cannot be read: {error}.") from None
    return Study(sample.key, sample.record["patient"], films, reports)


def places(split: SplitIndex, keys: Sequence[str]) -> list[int]:
    """Finds where studies lie in a split.

    Args:
        split: The split.
        keys: Their keys.

    Raises:
        ReadingError: One is not there.
    """
    at = {key: number for number, key in enumerate(split.keys)}
    lost = [key for key in keys if key not in at]
    if lost:
        raise ReadingError(
            f"{len(lost)} of {len(keys)} studies that were answered are not in the {split.name} split of these shards. "
            "Remedy: name with --shards those that were evaluated."
        )
    return np.array([at[key] for key in keys], dtype=np.int64).tolist()


def _metrics(folder: Path) -> dict[str, Any]:
    file = folder / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        if not {"model", "shards", "split"} <= metrics.keys():
            raise ValueError
    except (OSError, ValueError, AttributeError):
        raise ReadingError(f"{file} is no file of `cxr evaluate`. Remedy: name a folder that it wrote.") from None
    return dict(metrics)


def _own_answers(folder: Path) -> dict[str, Row]:
    # Here, not above: who reads back what readers saved need not wait for torch.
    from cxr_lightning.evaluation.predictions import read_predictions

    return {row["key"]: row for row in read_predictions(folder) if row["condition"] == "own"}


def _text(text: str) -> str:
    """Sets a report without its line breaks and runs of spaces, which would tell one system from another."""
    return " ".join(text.split())


def _views(sample: RawSample) -> list[tuple[str, bytes]]:
    """Takes a frontal film and a lateral one; where neither is named, the first."""
    views = sample.record["views"]
    first = [next((view for view in views if view["position"] == wanted), None) for wanted in ("frontal", "lateral")]
    chosen = [view for view in first if view is not None] or views[:1]
    return [(view["position"], sample.images[view["member"]]) for view in chosen]


def _film(position: str, data: bytes, size: int) -> Film:
    gray = shrink(load_gray(data), size)
    return Film(position, encode(gray, "jpg", _QUALITY), gray.shape[1], gray.shape[0])
