"""Radiographs to read: real ones where CXR_REAL_DATA names them, else drawn ones, cropped and enlarged to many."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import pack
from cxr_lightning.stream.reader import ShardReader

REPORT = "The heart size is normal. The lungs are clear. There is no pleural effusion or pneumothorax."


def make(folder: Path, images: int, side: int, packed: tuple[int, ...], grain: float = 0) -> str:
    """Makes distinct square gray JPEGs, packs them at each size, and lays those of the first size out as files.

    Args:
        folder: Where to: `originals`, `shards-SIZE`, and `files` (the very bytes that lie in the first shards).
        images: How many.
        side: Of the originals, in pixels.
        packed: Sizes to pack at.
        grain: Gray levels of noise, as a detector has it: enlarging leaves none, so that a large file would be small
            and quick to decode.

    Returns:
        Where they come from.
    """
    named = os.environ.get("CXR_REAL_DATA")
    sources = sorted(Path(named).rglob("*.jpg")) if named else []
    if not sources:
        draw(folder / "drawn", studies=min(images, 150), seed=0, size=512)
        sources = sorted((folder / "drawn" / "images").glob("*.png"))
    originals = folder / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    with (originals / "studies.jsonl").open("w") as table:
        for number in range(images):
            picture = _variant(sources[number % len(sources)], side, number, grain)
            picture.save(originals / f"{number:05}.jpg", quality=95)
            row = {"study_id": number, "patient_id": number, "image": f"{number:05}.jpg", "report": REPORT}
            table.write(json.dumps({**row, "split": "train"}) + "\n")
    for size in packed:
        pack("table", originals, out=folder / f"shards-{size}", size=size, samples_per_shard=256)
    _lay_out(folder / f"shards-{packed[0]}", folder / "files")
    return f"{len(sources)} {'real' if named else 'drawn'} radiographs"


def _variant(source: Path, side: int, number: int, grain: float) -> Image.Image:
    picture = Image.open(source).convert("L")
    random_ = random.Random(number)
    edge = int(min(picture.size) * random_.uniform(0.8, 1))
    left, top = (random_.randint(0, whole - edge) for whole in picture.size)
    picture = picture.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + edge, top + edge))
    if not grain:
        return picture
    noise = np.random.default_rng(number).normal(0, grain, (side, side))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _lay_out(shards: Path, files: Path) -> None:
    files.mkdir(exist_ok=True)
    reader = ShardReader(read_index(shards).split("train"))
    for number in range(len(reader)):
        (files / f"{number:05}.jpg").write_bytes(reader[number].images["jpg"])
