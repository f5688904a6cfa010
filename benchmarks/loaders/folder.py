"""Image files in a folder, as XrayGPT and its like read them: Pillow, RGB, resize, to floats, normalise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import timing
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import InterpolationMode

TRANSFORM = transforms.Compose(
    [
        transforms.Resize((timing.SIDE, timing.SIDE), interpolation=InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(timing.MEAN, timing.STD),
    ]
)


class Folder(Dataset):
    """Its JPEG files."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> torch.Tensor:
        return TRANSFORM(Image.open(self.files[number]).convert("RGB"))


def read(data: Path, workers: int) -> Iterator[torch.Tensor]:
    """Yields one epoch."""
    return iter(DataLoader(Folder(data), timing.BATCH, shuffle=True, num_workers=workers, drop_last=True))


if __name__ == "__main__":
    timing.run(None, read)
