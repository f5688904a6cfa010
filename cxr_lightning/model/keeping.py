"""Shards enter, files of a frozen tower's features leave: decoded by threads, computed in batches, written in order."""

# Shapes: I images, C channels, H height, W width.

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cxr_lightning.model.features import Tower
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.ahead import Ahead
from cxr_lightning.stream.features import FeatureFolder, ShardFeatures
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.skipped import UNUSABLE, reason

log = logging.getLogger(__name__)

_PREFETCH = 2


@dataclass(frozen=True)
class Keeper:
    """Computes features as training would.

    Attributes:
        folder: Where to.
        tower: What computes, on its device and in its data type.
        pixels: What prepares images for it.
        batch: Samples that it computes at once.
        workers: Threads that decode ahead.
    """

    folder: FeatureFolder
    tower: Tower
    pixels: Pixels
    batch: int
    workers: int

    def keep(self, file: ShardFeatures, reader: ShardReader, told: Callable[[int], None]) -> None:
        """Makes one file; it appears when it is whole.

        Images of a sample that cannot be used are left blank: training skips the sample, as it would have anyway.

        Args:
            file: Which.
            reader: Of its split.
            told: Called with the number of images that were done.

        Raises:
            StorageError: If the shard cannot be read.
        """
        numbers = file.numbers
        chunks = [numbers[first : first + self.batch] for first in range(0, len(numbers), self.batch)]
        with self.folder.writing(file) as writer:
            for samples in Ahead(partial(self._prepare, file, reader), chunks, self.workers, _PREFETCH):
                for features in self._compute([image for sample in samples for image in sample]):
                    if features is None:
                        writer.leave_blank()
                    else:
                        writer.write(features)
                told(sum(map(len, samples)))

    def _prepare(self, file: ShardFeatures, reader: ShardReader, numbers: Sequence[int]) -> list[list[Tensor | None]]:
        """Returns the pixels of each sample's images, (C, H, W) in bytes, or as many times None."""
        samples = [self._decode(file, reader, number) for number in numbers]
        try:
            return self._resize(samples)
        except UNUSABLE:  # one of them cannot be resized
            return [self._resized_alone(sample) for sample in samples]

    def _decode(self, file: ShardFeatures, reader: ShardReader, number: int) -> list[Tensor | None]:
        images = int(file.split.images[number - file.before])
        try:
            raw = reader[number]
            if len(raw.images) != images:
                raise ShardError(f"{len(raw.images)} images, and the index lists {images}")
            return [self.pixels.decode(image) for image in raw.images.values()]
        except StorageError:
            raise
        except UNUSABLE as error:
            log.warning("left blank: %s: %s", file.split.label(number - file.before), reason(error))
            return [None] * images

    def _resize(self, samples: list[list[Tensor | None]]) -> list[list[Tensor | None]]:
        views = [view for sample in samples for view in sample if view is not None]
        resized = iter(self.pixels.resize(views)) if views else iter(())
        return [[None if view is None else next(resized) for view in sample] for sample in samples]

    def _resized_alone(self, sample: list[Tensor | None]) -> list[Tensor | None]:
        try:
            return self._resize([sample])[0]
        except UNUSABLE:
            return [None] * len(sample)

    def _compute(self, images: list[Tensor | None]) -> list[Tensor | None]:
        there = [image for image in images if image is not None]
        if not there:
            return images
        device = next(self.tower.module.parameters()).device
        channels = max(len(image) for image in there)
        pixels_ICHW = torch.stack([image.expand(channels, -1, -1) for image in there]).to(device)
        features = iter(self.tower(self.pixels.normalise(pixels_ICHW)).cpu())
        return [None if image is None else next(features) for image in images]
