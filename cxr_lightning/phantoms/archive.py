"""An archive of phantoms on disk: a number and a seed go in, a folder that the source `table` reads comes out.

Films are written first and the table last, whole or not at all: a folder without `studies.jsonl` is unfinished and can
be drawn again. Workers each draw whole studies, which depend on seed and number only, so their count changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from cxr_lightning.phantoms.catalogue import Finding
from cxr_lightning.phantoms.phantom import Phantom, check_request, draw_study

TABLE = "studies.jsonl"
IMAGES = "images"
LICENCE = "CC0-1.0"
SOURCE = "phantoms"
CHUNK = 16

_README = """# Phantom chest radiographs

{studies} synthetic studies, drawn by `cxr phantoms` with seed {seed} at {size} x {size} pixels. No patient was
involved: anatomy, findings and reports come from a random number generator. Do not use them for any clinical purpose.

- `studies.jsonl`: one study a line: `study_id`, `patient_id`, `image`, `lateral` (or null), `view`, `report`, `labels`
  (located findings; an empty list is a normal study), `details` (label, size, centimetres, kind), `boxes` (label and
  extent x0, y0, x1, y1 in the frontal image, fractions of its size), `licence`, `source`.
- `images/`: 8-bit grey PNG, the patient's right on the image's left.

Licence: CC0-1.0.
"""


def draw(directory: Path, *, studies: int = 300, seed: int = 0, size: int = 256, workers: int = 2) -> None:
    """Draws an archive of synthetic chest radiographs with reports and known findings.

    Args:
        directory: Where the archive goes. A finished archive there is not touched.
        studies: How many studies.
        seed: Names the archive: the same seed gives the same studies, whatever the other options.
        size: Side length of the films in pixels.
        workers: Processes that draw.

    Raises:
        ValueError: When an option is out of range, or the directory already holds an archive.
    """
    if studies < 1 or workers < 1:
        raise ValueError(f"--studies and --workers must be 1 or more, not {studies} and {workers}.")
    check_request(seed, 0, size)
    table = directory / TABLE
    if table.exists():
        raise ValueError(f"{table} exists: give another directory, or remove it to draw the archive again.")
    (directory / IMAGES).mkdir(parents=True, exist_ok=True)
    rows = _rows(directory, studies=studies, seed=seed, size=size, workers=workers)
    bar = track(rows, description="Drawing phantoms", total=studies, console=Console(stderr=True))
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in bar]
    _write(directory / "README.md", _README.format(studies=studies, seed=seed, size=size))
    _write(table, "".join(lines))


def _rows(directory: Path, *, studies: int, seed: int, size: int, workers: int) -> Iterator[dict[str, Any]]:
    """Draws the studies, in order, and yields their rows."""
    task = partial(_draw_one, directory, seed, size)
    if workers == 1:
        yield from map(task, range(studies))
        return
    # Spawned, not forked: the caller may hold threads, and a fork of a threaded process can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(task, range(studies), chunksize=CHUNK)


def _draw_one(directory: Path, seed: int, size: int, number: int) -> dict[str, Any]:
    """Draws one study, writes its films and gives its row."""
    phantom = draw_study(seed, number, size)
    image = f"{IMAGES}/{phantom.study_id}.png"
    _save(directory / image, phantom.image_HW)
    lateral = None
    if phantom.lateral_HW is not None:
        lateral = f"{IMAGES}/{phantom.study_id}.lateral.png"
        _save(directory / lateral, phantom.lateral_HW)
    return _row(phantom, image, lateral)


def _row(phantom: Phantom, image: str, lateral: str | None) -> dict[str, Any]:
    return {
        "study_id": phantom.study_id,
        "patient_id": phantom.patient_id,
        "image": image,
        "lateral": lateral,
        "view": "frontal",
        "report": phantom.report.text,
        "labels": list(phantom.labels),
        "details": [_detail(finding) for finding in phantom.findings],
        "boxes": [
            dict(zip(("label", "x0", "y0", "x1", "y1"), (label, *box), strict=True)) for label, box in phantom.boxes
        ],
        "licence": LICENCE,
        "source": SOURCE,
    }


def _detail(finding: Finding) -> dict[str, Any]:
    return {
        "label": finding.label,
        "size": finding.size or None,
        "centimetres": finding.centimetres or None,
        "kind": finding.kind or None,
    }


def _save(path: Path, image_HW: NDArray[np.uint8]) -> None:
    partial_path = path.with_name(path.name + ".partial")
    Image.fromarray(image_HW).save(partial_path, format="PNG", compress_level=3)
    os.replace(partial_path, path)


def _write(path: Path, text: str) -> None:
    partial_path = path.with_name(path.name + ".partial")
    partial_path.write_text(text, encoding="utf-8")
    os.replace(partial_path, path)
