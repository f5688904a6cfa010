"""Encoded views to what the tower reads, late: one gray channel of bytes until the batch is on the device.

A radiograph is gray, and a family's image processor would decode, resize, convert and copy it three times over. Where
the processor only resizes, pads, crops and normalises, it is given bytes, four gray images as the channels of one (its
resize costs the same for one channel as for four), and what it would do last, three channels of floats, is done once a
batch. Whether this equals the processor bit for bit is tried on images before it is used; else the processor is used.
"""

# Shapes: I images, C channels (1 gray, 3 colour or padded in a colour), H height, W width; h, w of the tower's input.

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cxr_lightning.shards.images import MOST_PIXELS, is_plain, open_stored, opened

try:
    import simplejpeg
except ImportError:  # the extra `turbo`; Pillow decodes the same bits an eighth slower
    simplejpeg = None

Decode = Literal["exact", "scaled"]
log = logging.getLogger(__name__)


class Pixels:
    """Images of one family.

    Args:
        processor: Its Hugging Face image processor.
        decode: `exact` for the processor's own pixels; `scaled` lets JPEG decoding halve an image, twice and three
            times if possible, while it stays as large as the tower's input (quicker for large images, and an average
            over blocks where `exact` has the processor's filter).
        unused: What the image processor hands out for counting image tokens alone; no model takes it.
    """

    def __init__(self, processor: Any, decode: Decode = "exact", unused: Sequence[str] = ()) -> None:
        if decode not in ("exact", "scaled"):
            raise ValueError(f"--data.decode={decode} is not known. Remedy: choose exact or scaled.")
        self.processor, self.decode_mode, self.unused = processor, decode, tuple(unused)
        self.late = False
        """Whether the processor's work can be divided; where it cannot, only the processor itself is of use."""
        self.extras: dict[str, Tensor] = {}
        """What the processor hands out beside the pixels, one row, where it is the same for every image."""
        self._gray = {True: False, False: False}  # by "is it square": others may be padded with a colour
        self._size_hw = (0, 0)
        self._scales: dict[torch.device, tuple[Tensor, Tensor]] = {}
        try:
            self._try_out()
        except Exception:  # whatever it is: a processor of another kind, whose own way is always right
            self.late, self._gray = False, {True: False, False: False}
            log.debug("%s is not divided", type(processor).__name__, exc_info=True)

    def decode(self, data: bytes) -> Tensor:
        """Decodes a JPEG or PNG to bytes of shape (C, H, W).

        Raises:
            ImageError: If it is too large.
            OSError, SyntaxError, ValueError: Whatever Pillow raises, if it is damaged or cut off.
        """
        with opened(data, MOST_PIXELS) as picture:
            if not is_plain(picture):
                return torch.from_numpy(np.array(open_stored(data))).permute(2, 0, 1)
            stored = picture.size
            if self.decode_mode == "scaled":
                picture.draft(None, self._least(*stored))
            whole_gray = picture.format == "JPEG" and picture.mode == "L" and picture.size == stored
            if whole_gray and (quick := _decode_gray(data)) is not None:
                return quick
            pixels_HWC = np.array(picture if picture.mode == "L" else picture.convert("RGB"), order="C")
        height, width = pixels_HWC.shape[:2]
        return torch.from_numpy(pixels_HWC).view(height, width, -1).permute(2, 0, 1)

    def resize(self, views: Sequence[Tensor]) -> Tensor:
        """Brings images to the size of the tower's input by the processor's own resizing, padding and cropping.

        Args:
            views: Bytes of shape (C, H, W) each.

        Returns:
            Bytes of shape (I, C, h, w) with one channel, or three where one of the images needs them.
        """
        by_shape: defaultdict[torch.Size, list[int]] = defaultdict(list)
        colour: list[int] = []
        for number, view in enumerate(views):
            gray = view.shape[0] == 1 and self._gray[view.shape[1] == view.shape[2]]
            (by_shape[view.shape] if gray else colour).append(number)
        fours = [same[first : first + 4] for same in by_shape.values() for first in range(0, len(same), 4)]
        resized = torch.empty((len(views), 3 if colour else 1, *self._size_hw), dtype=torch.uint8)
        canvases = [torch.cat([views[number] for number in (four * 4)[:4]]) for four in fours]
        for four, pixels_4hw in zip(fours, self._process(canvases, 4), strict=True):
            resized[four] = pixels_4hw[: len(four), None]
        canvases = [views[number].expand(3, -1, -1) for number in colour]
        for number, pixels_3hw in zip(colour, self._process(canvases, 3), strict=True):
            resized[number] = pixels_3hw
        return resized

    def normalise(self, pixels_IChw: Tensor) -> Tensor:
        """Returns the processor's floats, of shape (I, 3, h, w), of what `resize` returned, on whatever device."""
        mean_311, std_311 = self._scale(pixels_IChw.device)
        return (pixels_IChw.float() - mean_311).div_(std_311)

    def outline(self, images: int) -> dict[str, Tensor]:
        """Returns tensors of the shapes that the processor would return, for what only asks for shapes."""
        pixels = torch.zeros(1).expand(images, 3, *self._size_hw)
        return {"pixel_values": pixels, **self._extras(images)}

    def beside(self, images: int) -> dict[str, Tensor]:
        """Returns what the model takes beside the pixels."""
        return {name: value for name, value in self._extras(images).items() if name not in self.unused}

    def _extras(self, images: int) -> dict[str, Tensor]:
        return {name: row.repeat(images, *(1,) * (row.dim() - 1)) for name, row in self.extras.items()}

    def _process(self, canvases: list[Tensor], channels: int) -> list[Tensor]:
        if not canvases:
            return []
        mean = self.processor.image_mean  # of which some processors make the colour they pad with
        done = self.processor(
            images=canvases,
            image_mean=list(mean) if channels == 3 else [mean[0]] * channels,
            do_convert_rgb=False,
            do_rescale=False,
            do_normalize=False,
            input_data_format="channels_first",
        )
        return list(done["pixel_values"])

    def _scale(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._scales:
            # In the processor's order of operations; any other differs in the last bit.
            factor = 1.0 / self.processor.rescale_factor
            mean, std = (
                torch.tensor(list(each)) * factor for each in (self.processor.image_mean, self.processor.image_std)
            )
            self._scales[device] = mean.view(3, 1, 1).to(device), std.view(3, 1, 1).to(device)
        return self._scales[device]

    def _least(self, width: int, height: int) -> tuple[int, int]:
        """Returns the smallest size that scaled decoding may leave, so that nothing has to be enlarged afterwards."""
        high, wide = self._size_hw
        if getattr(self.processor, "do_pad", False):
            shrink = max(height / high, width / wide)
        else:
            shrink = min(height / high, width / wide)
        return max(1, int(width / shrink)), max(1, int(height / shrink))

    def _try_out(self) -> None:
        """Finds out on images of several shapes which way equals the processor's own, bit for bit."""
        first = self._reference([torch.zeros(1, 8, 8, dtype=torch.uint8)])
        _, channels, high, wide = first["pixel_values"].shape
        if channels != 3 or not self.processor.do_rescale or not self.processor.do_normalize:
            return
        self._size_hw = (high, wide)
        self.extras = {name: value for name, value in first.items() if name != "pixel_values"}
        shapes = [(high + 9, high + 9), (high // 2, high // 2), (2 * high, wide + 5), (high // 2, wide + 1)]
        gray = [_noise(shape, 1, images=5) for shape in shapes]
        references = [self._reference(views) for views in gray]
        colour = _noise((high + 9, wide), 3, images=1)
        works = [self._equal(colour, self._reference(colour)), *map(self._equal, gray, references)]
        self.late = all(works)
        for square in (True, False):
            self._gray[square] = True
            here = [number for number, (height, width) in enumerate(shapes) if (height == width) == square]
            self._gray[square] = all(self._equal(gray[number], references[number]) for number in here)

    def _reference(self, views: list[Tensor]) -> dict[str, Tensor]:
        pictures = [Image.fromarray(view.permute(1, 2, 0).squeeze(2).numpy()).convert("RGB") for view in views]
        return dict(self.processor(images=pictures, return_tensors="pt"))

    def _equal(self, views: list[Tensor], reference: dict[str, Tensor]) -> bool:
        ours = {"pixel_values": self.normalise(self.resize(views)), **self._extras(len(views))}
        return ours.keys() == reference.keys() and all(torch.equal(ours[name], reference[name]) for name in ours)


def _noise(shape_hw: tuple[int, int], channels: int, images: int) -> list[Tensor]:
    levels = np.random.default_rng(0).integers(0, 256, (images, channels, *shape_hw), dtype=np.uint8)
    return list(torch.from_numpy(levels))


def _decode_gray(data: bytes) -> Tensor | None:
    """Decodes a gray JPEG by the same library as Pillow's without its copies; None where that cannot be or fails."""
    if simplejpeg is None:
        return None
    try:
        pixels_HW1 = simplejpeg.decode_jpeg(data, "GRAY", strict=True)
    except ValueError:
        return None  # Pillow knows what is still an image
    return torch.from_numpy(pixels_HW1).permute(2, 0, 1)
