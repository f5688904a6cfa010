"""litData: JPEG items of its own chunks, which it decodes to tensors; one channel until it must be three."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import litdata
import timing
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

RESIZE = v2.Resize((timing.SIDE, timing.SIDE), interpolation=InterpolationMode.BICUBIC, antialias=True)
FLOAT = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(timing.MEAN, timing.STD)])


class Films(litdata.StreamingDataset):
    """Its images, transformed."""

    def __getitem__(self, number: object) -> torch.Tensor:
        image = super().__getitem__(number)["image"]
        image = image if isinstance(image, torch.Tensor) else v2.functional.pil_to_tensor(image)
        return FLOAT(RESIZE(image).expand(3, -1, -1))


def load(file: str) -> dict[str, Image.Image]:
    """Opens a file; litData stores its bytes as they are."""
    return {"image": Image.open(file)}


def prepare(files: Path, data: Path) -> None:
    """Writes the chunks."""
    listed = [str(file) for file in sorted(files.glob("*.jpg"))]
    litdata.optimize(load, listed, output_dir=str(data), chunk_bytes="64MB", num_workers=1)


def read(data: Path, workers: int) -> Iterator[torch.Tensor]:
    """Yields one epoch."""
    films = Films(str(data), shuffle=True, drop_last=True)
    return iter(litdata.StreamingDataLoader(films, batch_size=timing.BATCH, num_workers=workers, drop_last=True))


if __name__ == "__main__":
    timing.run(prepare, read)
