"""MosaicML streaming: JPEG columns of its own shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import timing
import torch
from folder import TRANSFORM
from PIL import Image
from streaming import MDSWriter, StreamingDataset
from torch.utils.data import DataLoader


class Films(StreamingDataset):
    """Its images, transformed."""

    def __getitem__(self, number: int) -> torch.Tensor:
        return TRANSFORM(super().__getitem__(number)["image"].convert("RGB"))


def prepare(files: Path, data: Path) -> None:
    """Writes the shards."""
    with MDSWriter(out=str(data), columns={"image": "jpeg"}, size_limit=1 << 26) as writer:
        for file in sorted(files.glob("*.jpg")):
            writer.write({"image": Image.open(file)})


def read(data: Path, workers: int) -> Iterator[torch.Tensor]:
    """Yields one epoch."""
    films = Films(local=str(data), shuffle=True, batch_size=timing.BATCH)
    return iter(DataLoader(films, timing.BATCH, num_workers=workers, drop_last=True))


if __name__ == "__main__":
    timing.run(prepare, read)
