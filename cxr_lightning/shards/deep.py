"""PNGs of 16 bits a channel with alpha or colour enter, 8-bit gray leaves: Pillow reads the high byte of each alone.

Of what a detector fills, 10 to 16 of the bits, the high byte keeps little. So both bytes are decoded, as rows of 8 bits
each, and put together. PNG (ISO 15948): 11.2.2 (kinds of pixels), 11.3.1.1 (one value or colour that is transparent).
"""

# Shapes: H rows, W columns.

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.shards.tables import looked_up

Gray = NDArray[np.uint8]
Deep = NDArray[np.uint16]

_LIGHTNESS = np.array([19595, 38470, 7471], np.uint32)
"""What Pillow makes gray of colours by (ITU-R BT.601), of 65,536 in all."""

_PIXELS = 1 << 18
"""Put together at once."""


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image has colours or alpha at 16 bits, by its header.

    Args:
        image: Opened, of which no pixel is decoded yet.
    """
    return image.mode in ("RGB", "RGBA") and _way(image).endswith(";16B")


def deep_gray(image: Image.Image, low: Image.Image) -> tuple[Deep, Deep | None]:
    """Decode lightness and alpha at 16 bits.

    Args:
        image: Opened and deep, of which no pixel is decoded yet.
        low: The same file, opened once more.

    Raises:
        OSError, SyntaxError, ValueError: Whatever Pillow raises, if it is damaged or cut off.

    Returns:
        Lightness of shape (H, W), and how opaque it is, of the same shape; None where all of it is.
    """
    way, clear = _way(image), image.info.get("transparency")
    bands = {"LA;16B": ("RGBA", None), "RGB;16B": ("RGB;16B", "RGB;16L"), "RGBA;16B": ("RGBA;16B", "RGBA;16L")}
    first, second = bands[way]
    _decode(image, first)
    if second is not None:
        _decode(low, second)
    width, height = image.size
    lightness = np.empty((height, width), np.uint16)
    alpha = None if way == "RGB;16B" and clear is None else np.empty_like(lightness)
    for top, bottom in _stripes(width, height):
        box = (0, top, width, bottom)
        if second is None:  # gray and alpha, high byte and low byte: as many bytes as 8-bit colour with alpha has
            channels: NDArray[Any] = np.ascontiguousarray(image.crop(box)).view(">u2").astype(np.uint16)
        else:
            channels = np.asarray(image.crop(box)).astype(np.uint16) << 8
            channels |= np.asarray(low.crop(box))
        if channels.shape[-1] == 2:
            lightness[top:bottom] = channels[..., 0]
        else:
            lightness[top:bottom] = (channels[..., :3] @ _LIGHTNESS + 0x8000) >> 16
        if alpha is not None:
            unlike = (channels != np.array(clear)).any(axis=-1) if way == "RGB;16B" else None
            alpha[top:bottom] = channels[..., -1] if unlike is None else unlike * 0xFFFF
    return lightness, alpha


def stretched(values: Deep, alpha: Deep | None = None) -> Gray:
    """Map the lowest value that can be seen to 0 and the highest to 255, linearly; what is transparent is black.

    Args:
        values: Of shape (H, W).
        alpha: How opaque they are, 65,535 being wholly; None where all are.
    """
    inside = np.ones(1, np.bool_) if alpha is None else alpha > 0
    if not inside.any():
        return np.zeros(values.shape, np.uint8)
    low, high = (int(values.min()), int(values.max())) if alpha is None else _ends(values, inside)
    table = np.zeros(1 << 16, np.uint8)
    if high > low:
        ramp = np.arange(high - low + 1, dtype=np.float32)
        table[low : high + 1] = np.rint(ramp * (255.0 / (high - low)))
    table[high + 1 :] = 255
    gray = looked_up(values, table)
    if alpha is not None:
        for top, bottom in _stripes(*values.shape[::-1]):
            part = gray[top:bottom].astype(np.uint32) * alpha[top:bottom]
            gray[top:bottom] = (part + 0x7FFF) // 0xFFFF
    return gray


def _ends(values: Deep, inside: NDArray[np.bool_]) -> tuple[int, int]:
    return int(values.min(initial=0xFFFF, where=inside)), int(values.max(initial=0, where=inside))


def _way(image: Image.Image) -> str:
    """Returns how Pillow is about to unpack the pixels of a PNG."""
    tiles = getattr(image, "tile", None) or [None]
    way = tiles[0][3] if image.format == "PNG" and tiles[0] else ""
    return way if isinstance(way, str) else ""


def _decode(image: Image.Image, way: str) -> None:
    """Decodes the pixels, unpacked in another way than Pillow would."""
    assert hasattr(image, "tile")
    codec, extents, offset, _ = image.tile[0]
    image.tile = [(codec, extents, offset, way)]
    image.load()


def _stripes(width: int, height: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)
