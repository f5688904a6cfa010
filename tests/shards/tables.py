"""Small tables of studies with images, drawn from numbers, for the tests of packing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TEXT = "FINDINGS: Small left pleural effusion. The heart is normal in size.\nIMPRESSION: Small left pleural effusion."


def picture(number: int, width: int = 48, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 255, (height, width), dtype=np.uint8)
    return Image.fromarray(noise)


def row(number: int, **other: Any) -> dict[str, Any]:
    cells = {
        "study_id": f"s{number:03d}",
        "patient_id": f"p{number // 2:03d}",
        "image": f"images/{number:03d}.png",
        "view": "PA",
        "report": TEXT,
        "labels": ["pleural_effusion:left"],
        "licence": "CC0-1.0",
    }
    return {name: value for name, value in {**cells, **other}.items() if value is not ...}


def write_table(root: Path, rows: list[dict[str, Any]], name: str = "studies.jsonl") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, cells in enumerate(rows):
        for path in (cells.get("image"), cells.get("lateral")):
            if path and not (root / path).exists():
                picture(number).save(root / path)
    (root / name).write_text("".join(json.dumps(cells) + "\n" for cells in rows))
    return root


def table_of(root: Path, studies: int = 12) -> Path:
    return write_table(root, [row(number) for number in range(studies)])
