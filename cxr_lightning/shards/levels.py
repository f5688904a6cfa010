"""Stored values of a DICOM frame enter, gray levels as a reader would see them leave.

The order is the standard's: modality rescale to physical values, the window or table that the modality proposes, the
whole range where it proposes none, then the sense; padding is black whatever the sense. All of it is worked out once
for each value that there is, of which 16 bits have no more than 65,536, and then looked up for each pixel. Formulas:
DICOM PS3.3, C.7.5.1.1.2 (padding), C.11.1 (rescale) and C.11.2 (window and table).
"""

# Shapes: L levels, H rows, W columns.

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.elements import curve_of, element, numbers, whole_number
from cxr_lightning.shards.images import Gray, ImageError, stretch
from cxr_lightning.shards.tables import BLOCK, bits_of

Values = NDArray[np.float32]
Shares = NDArray[np.float64]
Stored = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

_BENT = ("ModalityLUTSequence", "PixelPaddingValue")
"""With one of these it matters which values there are, not only which is the lowest and the highest."""

_ALL_BUT_FEW = 0.99
"""Share of the pixels that no window leaves at one end: with fewer than a hundredth apart, there is no chest in it."""

_ASKED = 1 << 16
"""Pixels of which the shares are taken, for all ten million would cost as much as the rest."""


@dataclass(frozen=True)
class Levels:
    """What each stored value is shown as.

    Attributes:
        gray: By the stored value's bits; (2^8 or 2^16). Right way round, and black where there is no image.
        values: At full depth: rescaled, and bent where the file asks for a curve; (2^8 or 2^16).
        low: The value that is shown as black, `high` the one that is shown as white; before any inversion.
        high: See `low`.
    """

    gray: Gray
    values: Values
    low: float
    high: float


def levels_of(stored: Stored, header: Any) -> Levels:
    """Work out how each value of a frame is shown.

    Args:
        stored: Of the frame; (H, W).
        header: Its data set.

    Raises:
        ImageError: Its rescaling makes no numbers of them.
    """
    bits = bits_of(stored)
    if any(element(header, name) is not None for name in _BENT):
        there = _present(bits)
        level = there.astype(bits.dtype).view(stored.dtype)
    else:  # what lies between two values is shown between the two: the ends say all
        level = np.arange(int(stored.min()), int(stored.max()) + 1).astype(stored.dtype)
        there = bits_of(level).astype(np.intp)
    physical = _rescaled(level, header)
    if not np.isfinite(physical.astype(np.float32)).all():
        raise ImageError("values that are no numbers once they are rescaled")
    shares = _shares(bits, there)
    padding = _padding(level, header)
    if padding is not None and shares[padding].sum() > _ALL_BUT_FEW:  # then its header is about another image
        padding = None
    negative = header.PhotometricInterpretation == "MONOCHROME1"
    shown = _shown(physical, padding, shares, header)
    seen, deep = np.subtract(255, shown.gray) if negative else shown.gray, shown.values
    if padding is not None:
        seen = np.where(padding, np.uint8(0), seen)
        deep = np.where(padding, np.float32(math.ceil(shown.high) if negative else math.floor(shown.low)), deep)
    gray, full = np.zeros(1 << (8 * bits.itemsize), np.uint8), np.zeros(1 << (8 * bits.itemsize), np.float32)
    gray[there], full[there] = seen, deep
    return Levels(gray, full, shown.low, shown.high)


def _present(bits: NDArray[Any]) -> NDArray[np.intp]:
    """Returns which values there are."""
    flat, size = bits.ravel(), 1 << (8 * bits.itemsize)
    seen = np.zeros(size, np.bool_)
    for start in range(0, flat.size, BLOCK):
        seen[flat[start : start + BLOCK]] = True
    return np.flatnonzero(seen)


def _shares(bits: NDArray[Any], there: NDArray[np.intp]) -> Shares:
    """Returns the share of the pixels that each value has, by a grid of them."""
    apart = max(1, math.isqrt(bits.size // _ASKED))
    asked = bits[::apart, ::apart]
    counts: Shares = np.bincount(asked.ravel(), minlength=1 << (8 * bits.itemsize))[there] / asked.size
    return counts


def _rescaled(level: Stored, header: Any) -> NDArray[np.float64]:
    """Makes physical values of stored ones; a table goes before slope and intercept."""
    curve = curve_of(header, "ModalityLUTSequence")
    if curve is not None:
        return curve.of(level)
    slope, intercept = (_scale(header, name) for name in ("RescaleSlope", "RescaleIntercept"))
    plain = level.astype(np.float64)
    return plain if slope is None or intercept is None else plain * slope + intercept


def _scale(header: Any, name: str) -> float | None:
    said = numbers(header, name)
    if said and said[0] is None and element(header, name) is not None:
        raise ImageError(f"its {name} is no number")
    return said[0] if said else None


def _padding(level: Stored, header: Any) -> NDArray[np.bool_] | None:
    """Returns which values are no image: padding is a stored value, or a range of them."""
    if element(header, "PixelPaddingValue") is None:
        return None
    limit = "PixelPaddingValue" if element(header, "PixelPaddingRangeLimit") is None else "PixelPaddingRangeLimit"
    ends = [whole_number(header, name) for name in ("PixelPaddingValue", limit)]
    bits = int(header.BitsStored)
    below = 1 << (bits - 1) if int(header.PixelRepresentation) == 1 else 0
    ends = [((end + below) & ((1 << bits) - 1)) - below for end in ends]  # as pixels of so many bits have it
    inside: NDArray[np.bool_] = np.greater_equal(level, min(ends)) & np.less_equal(level, max(ends))
    return inside


class _Shown(NamedTuple):
    gray: Gray
    values: Values
    low: float
    high: float


def _shown(physical: NDArray[np.float64], padding: NDArray[np.bool_] | None, shares: Shares, header: Any) -> _Shown:
    """Takes the first of what the modality proposes that shows something: a window, a table; else the whole range."""
    image = shares if padding is None else np.where(padding, 0.0, shares)
    many = float(image.sum())
    values = physical.astype(np.float32)
    for shown in (_windowed(values, header), _through_table(physical, header)):
        if shown is None:
            continue
        most = max(float(image[shown.gray == end].sum()) for end in (0, 255))
        if most <= _ALL_BUT_FEW * many or float(np.ptp(values)) == 0.0:
            return shown
        # It misses the image: it belongs to another series, and black or white is not what anyone saw.
    inside = values if padding is None else values[~padding]
    return _whole(values.clip(inside.min(), inside.max()) if inside.size else values)


def _windowed(values: Values, header: Any) -> _Shown | None:
    """Shows the first window that is one: several are proposed, and the modality prefers the first."""
    said = zip(numbers(header, "WindowCenter"), numbers(header, "WindowWidth"), strict=False)
    centre, width = next(((c, w) for c, w in said if c is not None and w is not None), (0.0, 0.0))
    full = values
    function = str(element(header, "VOILUTFunction") or "LINEAR").strip().upper()
    if function == "SIGMOID" and width > 0:
        # Clipped, for exp overflows where a window is narrow; e^-60 is black all the same.
        share = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60.0, 60.0)))
        low, high, full = 0.0, 1.0, share
    elif function == "LINEAR_EXACT" and width > 0:
        share = (values - centre) / width + 0.5
        low, high = centre - width / 2, centre + width / 2
    elif width == 1:  # a step, which whole values never stand on
        low, high = centre - 0.5, centre
        share = (values > low).astype(np.float32)
    elif width > 1:
        share = (values - (centre - 0.5)) / (width - 1.0) + 0.5
        low, high = centre - 0.5 - (width - 1.0) / 2, centre - 0.5 + (width - 1.0) / 2
    else:
        return None
    return _Shown(np.rint(share.clip(0.0, 1.0) * 255.0).astype(np.uint8), full, low, high)


def _through_table(physical: NDArray[np.float64], header: Any) -> _Shown | None:
    """Shows what the VOI table makes of the values; black to white is all that it can make, not what these fill."""
    curve = curve_of(header, "VOILUTSequence")
    if curve is None or curve.most == 0:
        return None
    if curve.first > 32767 and physical.min() < 0:  # a first value below nought, in a file that calls it unsigned
        curve = replace(curve, first=curve.first - 65536)
    values = curve.of(physical).astype(np.float32)
    gray = np.rint((values * np.float32(255.0 / curve.most)).clip(0.0, 255.0)).astype(np.uint8)
    return _Shown(gray, values, 0.0, float(curve.most))


def _whole(values: Values) -> _Shown:
    """Shows the values' own range."""
    return _Shown(stretch(values), values, float(values.min()), float(values.max()))
