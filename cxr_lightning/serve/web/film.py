"""The content of an uploaded file enters, a film leaves: what the model reads, and what the viewer windows.

The model reads 8 bits, made as everywhere else. The viewer gets the values at their full depth, as unsigned 16-bit
integers with the line that makes them the file's own numbers again, so that window and level lose nothing. Of a DICOM
header only the depth, the window and the view are kept, and nothing of it but those is sent to the browser, and a
body part that is no chest.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.dicom import Frame, other_than_chest, read_frame
from cxr_lightning.shards.images import MOST_PIXELS, Gray, ImageError, is_dicom, load_gray, opened

Place = Literal["frontal", "lateral"]
PLACES: tuple[Place, ...] = ("frontal", "lateral")

_SALT = secrets.token_bytes(16)  # a name tells nothing to who holds the same film

_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT")
_FRONTAL = ("PA", "AP", "FRONTAL")


@dataclass(frozen=True)
class Film:
    """One radiograph on the page.

    Attributes:
        gray: What the model reads, of shape (height, width).
        packed: The values, gzipped little-endian unsigned 16-bit integers, row by row.
        base: The file's own number of value 0; a value's own number is `base + step * value`.
        step: See `base`.
        low: The own number that is shown as one end of gray to begin with; `high` is the other.
        high: See `low`.
        negative: Whether low numbers are shown bright.
        bits: Depth of the file.
        position: The view that the file names, if it does.
        warning: What the file says against asking about it, such as another body part.
    """

    gray: Gray
    packed: bytes
    base: float
    step: float
    low: float
    high: float
    negative: bool
    bits: int
    position: Place | None
    warning: str = ""

    @functools.cached_property
    def name(self) -> str:
        """Tells films apart: the same for what a model reads the same."""
        shape = repr(self.gray.shape).encode()
        return hashlib.blake2b(
            np.ascontiguousarray(self.gray).data, digest_size=12, salt=_SALT, person=shape[:16]
        ).hexdigest()

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.gray.nbytes + len(self.packed)

    def described(self) -> dict[str, Any]:
        """Returns what the viewer needs beside the values."""
        height, width = self.gray.shape
        own = {
            name: getattr(self, name) for name in ("base", "step", "low", "high", "negative", "bits", "name", "warning")
        }
        return {"width": width, "height": height, **own}


def read_film(data: bytes, most_pixels: int = MOST_PIXELS, *, any_body_part: bool = False) -> Film:
    """Read an uploaded file by its content; what it is called does not matter.

    Args:
        data: The file's content.
        most_pixels: Refuse larger images, before decoding them.
        any_body_part: Take a DICOM file that says it shows something else than a chest, and say so on the film.

    Raises:
        ImageError: It is no radiograph of a chest that can be read; the message says why.
    """
    other = other_than_chest(data)
    if other is not None and any_body_part:
        return replace(_read(data, most_pixels), warning=other)
    if other is not None:  # the model would answer about it all the same, and fluently
        raise ImageError(other)
    return _read(data, most_pixels)


def _read(data: bytes, most_pixels: int) -> Film:
    if is_dicom(data):
        return _of_frame(read_frame(data, most_pixels))
    gray = load_gray(data, most_pixels)
    deep = _deep(data, most_pixels) if data[:4] == b"\x89PNG" else None
    if deep is None:
        return _film(gray, gray.astype(np.float32), 0.0, 255.0, bits=8)
    return _film(gray, deep, float(deep.min()), float(deep.max()), bits=16)


def _of_frame(frame: Frame) -> Film:
    position = frame.position.upper()
    place: Place | None = "lateral" if position in _LATERAL else "frontal" if position in _FRONTAL else None
    return _film(
        frame.gray, frame.values, frame.low, frame.high, bits=frame.bits, negative=frame.negative, position=place
    )


def _deep(data: bytes, most_pixels: int) -> NDArray[np.float32] | None:
    """Returns the values of a PNG of 16 bits."""
    with opened(data, most_pixels) as image:
        return np.asarray(image, dtype=np.float32) if image.mode.startswith("I") else None


def _film(
    gray: Gray,
    values: NDArray[np.float32],
    low: float,
    high: float,
    *,
    bits: int,
    negative: bool = False,
    position: Place | None = None,
) -> Film:
    """Maps values to 16 bits: one to one where they are whole numbers and fit, else over their range."""
    base, top = float(values.min()), float(values.max())
    whole = top - base <= 65535 and bool((values == np.rint(values)).all())
    step = 1.0 if whole or top <= base else (top - base) / 65535
    integers = np.rint((values - np.float32(base)) / np.float32(step)).astype("<u2")
    packed = gzip.compress(integers.tobytes(), compresslevel=1)
    return Film(gray, packed, base, step, low, max(high, low + step), negative, bits, position)
