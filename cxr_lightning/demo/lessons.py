"""A phantom archive enters, lessons leave: a study's picture, its summary and where in the picture each finding is.

The demo has no weeks to learn to see, so it prepares its tower and its language model with what only phantoms have: a
box around every finding. Laid over the grid of a tower's patches, boxes become labels for every single image token.
"""

# Shapes: N lessons, G rows and columns of the patch grid, K kinds of located findings, S image side in pixels.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.findings.located import LABELS
from cxr_lightning.reports.sections import split_sections
from cxr_lightning.reports.sources.found import Flaw
from cxr_lightning.reports.sources.rows import Table, table_file
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.images import load_gray, shrink
from cxr_lightning.shards.splits import Fractions, split_of

KIND = {label: number for number, label in enumerate(LABELS)}
"""Column of each located finding in the arrays below."""

LEAST_OF_PATCH = 0.3
"""A patch shows a finding if the box covers this share of it ..."""
LEAST_OF_BEST = 0.6
"""... or this share of what the best covered patch has, so that a nodule smaller than a patch counts somewhere."""


class LessonError(ValueError):
    """The archive holds nothing to prepare with."""


class Box(NamedTuple):
    """A finding's extent in the frontal picture, in shares of its width and height.

    Attributes:
        kind: Number of the located finding (`KIND`).
        left: Left edge.
        top: Upper edge.
        right: Right edge.
        bottom: Lower edge.
    """

    kind: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a phantom teaches.

    Attributes:
        image: The frontal picture's file.
        summary: The report as the shards would hold it: cleaned, findings and impression merged.
        kinds: Numbers of its located findings.
        boxes: Where they are; a finding may have several boxes.
    """

    image: Path
    summary: str
    kinds: frozenset[int]
    boxes: tuple[Box, ...]


def read_lessons(archive: Path, split: Fractions = Fractions()) -> list[Lesson]:  # noqa: B008  (frozen)
    """Reads the lessons of an archive's train patients in its order.

    Args:
        archive: Folder that `cxr phantoms` wrote.
        split: The shares by which `cxr pack` splits the same archive. Whoever will be asked about at the end must not
            have prepared anything either, so patients of the other splits are left out here already.

    Raises:
        LessonError: If a row has no boxes or unknown labels, or there is no row.
    """
    table = table_file(archive)
    lessons = []
    for row in Table(table).each():
        if isinstance(row, Flaw):
            raise LessonError(f"{table}: {row}. Remedy: draw the archive again with `cxr phantoms`.")
        try:
            if split_of(hashed(str(row.cells["patient_id"]), "patient"), split) == "train":
                lessons.append(_lesson(archive, row.cells))
        except (KeyError, TypeError, ValueError) as error:
            raise LessonError(
                f"{table}, line {row.line}: not a phantom's row ({type(error).__name__}: {error}); it needs "
                "patient_id, image, report, known labels and boxes. Remedy: prepare from what `cxr phantoms` drew."
            ) from error
    if not lessons:
        raise LessonError(f"{table}: no studies of train patients. Remedy: draw some with `cxr phantoms`.")
    return lessons


def _lesson(archive: Path, cells: dict[str, Any]) -> Lesson:
    return Lesson(
        image=archive / str(cells["image"]),
        summary=summarize(split_sections(str(cells["report"]))),
        kinds=frozenset(KIND[label] for label in cells["labels"]),
        boxes=tuple(
            Box(KIND[box["label"]], float(box["x0"]), float(box["y0"]), float(box["x1"]), float(box["y1"]))
            for box in cells["boxes"]
        ),
    )


def study_labels(lessons: Iterable[Lesson]) -> NDArray[np.float32]:
    """Returns for each lesson which findings it has, of shape (N, K)."""
    chosen = [sorted(lesson.kinds) for lesson in lessons]
    labels_NK = np.zeros((len(chosen), len(LABELS)), np.float32)
    for number, kinds in enumerate(chosen):
        labels_NK[number, kinds] = 1.0
    return labels_NK


def patch_labels(boxes: Iterable[Box], grid: int, shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    """Tells for each patch of a picture which findings it shows.

    Args:
        boxes: The findings' extents.
        grid: Patches a row and a column.
        shift: How far the picture was moved right and down since the boxes were drawn, in shares of its size.

    Returns:
        0 or 1, of shape (grid, grid, K).
    """
    labels_GGK = np.zeros((grid, grid, len(LABELS)), np.float32)
    edges_G = np.arange(grid) / grid
    for box in boxes:
        across_G = _overlap(edges_G, 1 / grid, box.left + shift[0], box.right + shift[0])
        down_G = _overlap(edges_G, 1 / grid, box.top + shift[1], box.bottom + shift[1])
        share_GG = down_G[:, None] * across_G[None, :] * grid * grid
        enough = min(LEAST_OF_PATCH, LEAST_OF_BEST * float(share_GG.max()))
        shown_GG = (share_GG >= enough) & (share_GG > 0)
        labels_GGK[..., box.kind] = np.maximum(labels_GGK[..., box.kind], shown_GG)
    return labels_GGK


def _overlap(edges_G: NDArray[np.float64], width: float, low: float, high: float) -> NDArray[np.float64]:
    return np.clip(np.minimum(edges_G + width, high) - np.maximum(edges_G, low), 0.0, None)


def read_pictures(lessons: Iterable[Lesson], side: int) -> NDArray[np.uint8]:
    """Reads the frontal pictures, of shape (N, S, S).

    Args:
        lessons: Whose pictures; all are square, as phantoms are.
        side: Pixels a row and a column wanted.

    Raises:
        ImageError: If a picture is missing or damaged.
    """
    return np.stack([_square(shrink(load_gray(lesson.image), side), side) for lesson in lessons])


def _square(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarges what was drawn smaller than wanted; `shrink` leaves such pictures alone."""
    if gray.shape == (side, side):
        return gray
    return np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.BICUBIC))
