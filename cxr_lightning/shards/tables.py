"""Pixels of up to 16 bits enter, what a table has for each of their values leaves.

Whatever is done to an image value by value is worked out 65,536 times at most, not once for each of ten million pixels.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Looked = TypeVar("Looked", np.uint8, np.float32)

BLOCK = 1 << 16
"""Pixels looked up at once: numpy makes 64-bit numbers of them on the way."""


def bits_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """View pixels of 8 or 16 bits as their bits, so that those below zero have a place in a table too.

    Args:
        pixels: Of any shape.
    """
    return pixels.view(np.uint8 if pixels.itemsize == 1 else np.uint16)


def looked_up(pixels: NDArray[Any], table: NDArray[Looked]) -> NDArray[Looked]:
    """Replace each pixel by what a table has for it.

    Args:
        pixels: Of 8 or 16 bits.
        table: By the pixel's bits: 2^8 or 2^16 long.
    """
    flat = bits_of(np.ascontiguousarray(pixels)).ravel()
    result = np.empty(flat.size, table.dtype)
    for start in range(0, flat.size, BLOCK):
        np.take(table, flat[start : start + BLOCK], out=result[start : start + BLOCK], mode="wrap")
    return result.reshape(pixels.shape)
