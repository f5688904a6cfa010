"""Studies made of plain arithmetic, so that golden losses change only when the numerics do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_lightning.model import tiny
from cxr_lightning.shards.packing import pack

_SENTENCES = (
    "The heart is normal in size and contour.",
    "Small left pleural effusion is present.",
    "There is a consolidation in the right lower lobe.",
    "No pneumothorax is seen on either side.",
    "The lungs are clear without focal opacity.",
    "A dual-lead pacemaker projects over the left chest.",
)


def make_shards(folder: Path) -> Path:
    """Packs 48 studies of one image and three sentences each."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(48):
        ramp = np.add.outer(np.arange(48) * (number % 5), np.arange(40) * (number % 7)) + 3 * number
        ramp[0, 0] += 1  # where both slopes are none it is no plain image, which is left out
        Image.fromarray((ramp % 256).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        report = " ".join(_SENTENCES[(number + step * step) % len(_SENTENCES)] for step in range(1 + number % 3))
        row = {
            "study_id": f"s{number}",
            "patient_id": f"p{number}",
            "image": f"images/{number}.png",
            "report": f"FINDINGS: {report}",
        }
        rows.append({**row, "split": "train" if number < 40 else "validate"})
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack("table", folder, out=folder / "shards", size=48, format="png", samples_per_shard=16, workers=1)
    return folder / "shards"


def make_parts(folder: Path) -> dict[str, str]:
    """Writes a tiny SigLIP tower and a tiny Llama."""
    tower, language = tiny.write_tower(folder / "siglip", "siglip"), tiny.write_language(folder / "language")
    return {"siglip": str(tower), "language": str(language)}
