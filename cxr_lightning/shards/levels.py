"""Stored values of a DICOM frame enter, gray levels as a reader would see them leave.

The order is the standard's: modality rescale to physical values, the window or table that the modality proposes, the
whole range where it proposes none. All of it is worked out once for each value that there is, of which 16 bits have no
more than 65,536, and then looked up for each pixel. Formulas: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
"""

# Shapes: L levels, H rows, W columns.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.images import Gray, ImageError, stretch
from cxr_lightning.shards.tables import BLOCK, bits_of

Values = NDArray[np.float32]
Stored = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

_BENT = ("ModalityLUTSequence", "VOILUTSequence", "PixelPaddingValue")
"""With one of these it matters which values there are, not only which is the lowest and the highest."""


@dataclass(frozen=True)
class Levels:
    """What each stored value is shown as.

    Attributes:
        gray: By the stored value's bits; (2^8 or 2^16).
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
    from pydicom.pixels import apply_modality_lut

    bits = bits_of(stored)
    if any(header.get(name) not in (None, "") for name in _BENT):
        there = _present(bits)
        level = there.astype(bits.dtype).view(stored.dtype)
    else:  # what lies between two values is shown between the two: the ends say all
        level = np.arange(int(stored.min()), int(stored.max()) + 1).astype(stored.dtype)
        there = bits_of(level).astype(np.intp)
    values = np.asarray(apply_modality_lut(level, header), dtype=np.float32)
    if not np.isfinite(values).all():
        raise ImageError("values that are no numbers once they are rescaled")
    shown = _window(values, _padding(level, header), header)
    gray, full = np.zeros(1 << (8 * bits.itemsize), np.uint8), np.zeros(1 << (8 * bits.itemsize), np.float32)
    gray[there], full[there] = shown.gray, shown.values
    return Levels(gray, full, shown.low, shown.high)


def _present(bits: NDArray[Any]) -> NDArray[np.intp]:
    """Returns which values there are."""
    flat, size = bits.ravel(), 1 << (8 * bits.itemsize)
    seen = np.zeros(size, np.bool_)
    for start in range(0, flat.size, BLOCK):
        seen[flat[start : start + BLOCK]] = True
    return np.flatnonzero(seen)


def _padding(level: Stored, header: Any) -> NDArray[np.bool_] | None:
    """Returns which values are no image: padding is a stored value, or a range of them (PS3.3, C.7.5.1.1.2)."""
    value = header.get("PixelPaddingValue")
    if value in (None, ""):
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit in (None, "") else limit)]
    if int(header.PixelRepresentation) == 0:
        ends = [end & ((1 << int(header.BitsStored)) - 1) for end in ends]
    inside: NDArray[np.bool_] = np.greater_equal(level, min(ends)) & np.less_equal(level, max(ends))
    return inside


class _Shown(NamedTuple):
    gray: Gray
    values: Values
    low: float
    high: float


def _window(values: Values, padding: NDArray[np.bool_] | None, header: Any) -> _Shown:
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    if centre is None or width is None:
        return _through_table(values, padding, header)
    full = values
    function = str(header.get("VOILUTFunction", "") or "LINEAR").upper()
    if function == "SIGMOID" and width > 0:
        # Clipped, for exp overflows where a window is narrow; e^-60 is black all the same.
        share = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60.0, 60.0)))
        low, high, full = 0.0, 1.0, share
    elif function == "LINEAR_EXACT" and width > 0:
        share = (values - centre) / width + 0.5
        low, high = centre - width / 2, centre + width / 2
    elif width > 1:
        share = (values - (centre - 0.5)) / (width - 1.0) + 0.5
        low, high = centre - 0.5 - (width - 1.0) / 2, centre - 0.5 + (width - 1.0) / 2
    else:
        return _whole(values)
    if float(np.ptp(share.clip(0.0, 1.0))) == 0.0 and float(np.ptp(values)) > 0.0:
        # The window misses every value: it belongs to another series, and black is not what anyone saw.
        return _whole(values)
    return _Shown(np.rint(share.clip(0.0, 1.0) * 255.0).astype(np.uint8), full, low, high)


def _through_table(values: Values, padding: NDArray[np.bool_] | None, header: Any) -> _Shown:
    if not header.get("VOILUTSequence"):
        inside = values if padding is None else values[~padding]
        return _whole(values.clip(inside.min(), inside.max())) if inside.size else _whole(values)
    from pydicom.pixels import apply_voi

    return _whole(np.asarray(apply_voi(values.astype(np.int32), header, index=0), dtype=np.float32))


def _whole(values: Values) -> _Shown:
    """Shows the values' own range."""
    return _Shown(stretch(values), values, float(values.min()), float(values.max()))


def _first(value: Any) -> float | None:
    """Take the first of several windows: it is the one that the modality prefers."""
    if value is None or value == "":
        return None
    many = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    first = float(many[0]) if many else math.nan
    return first if math.isfinite(first) else None
