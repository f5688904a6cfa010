"""A small archive laid out as phantoms are, drawn from squares: enough to prepare with, drawn in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WORDS = {
    "cardiomegaly": ("The heart is enlarged.", (0.4, 0.5, 0.7, 0.8)),
    "pleural_effusion:left": ("There is a small left pleural effusion.", (0.6, 0.75, 0.9, 0.9)),
    "nodule:right-upper": ("There is a 2.5 cm nodule in the right upper zone.", (0.2, 0.2, 0.27, 0.27)),
}


def draw_archive(directory: Path, studies: int, side: int = 64) -> Path:
    rng = np.random.default_rng(0)
    (directory / "images").mkdir(parents=True)
    with (directory / "studies.jsonl").open("w") as file:
        for number in range(studies):
            labels = [label for label in WORDS if rng.random() < 0.4]
            picture = rng.integers(80, 120, (side, side))
            for label in labels:
                left, top, right, bottom = (round(edge * side) for edge in WORDS[label][1])
                picture[top:bottom, left:right] += 100
            name = f"images/{number}.png"
            Image.fromarray(picture.astype(np.uint8)).save(directory / name)
            told = " ".join([*(WORDS[label][0] for label in labels), "No pneumothorax."])
            boxes = [
                {"label": label, **dict(zip(("x0", "y0", "x1", "y1"), WORDS[label][1], strict=True))}
                for label in labels
            ]
            row = {
                "study_id": f"s{number}",
                "patient_id": f"p{number}",
                "image": name,
                "report": f"FINDINGS: {told}",
                "labels": labels,
                "boxes": boxes,
            }
            file.write(json.dumps(row) + "\n")
    return directory


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_archive(tmp_path_factory.mktemp("archive") / "phantoms", studies=40)
