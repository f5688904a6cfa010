"""Elements of a DICOM header enter as modalities wrote them, numbers and tables leave.

Readers are lenient: a decimal comma, a window that was left empty, a sense in small letters, an element that everybody
leaves out. What cannot be read is named by its element, never by its value: values name patients, names of elements
do not.
"""

# Shapes: any, as the array that is looked up.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.images import ImageError

GRAY = ("MONOCHROME1", "MONOCHROME2")
_USUAL = {"SamplesPerPixel": 1, "PixelRepresentation": 0}
"""What gray files mean that do not say it."""

_LEAST_USED = 2
"""Bits by which a table may fall short of those it declares: one that is darker than a quarter declares too many."""


@dataclass(frozen=True)
class Curve:
    """A lookup table of a header (PS3.3, C.11.1.1 and C.11.2.1.1).

    Attributes:
        entries: What values become.
        first: The value that becomes the first of them, as all below it do; those behind the last become the last.
        most: What an entry can be at most, by the number of its bits.
    """

    entries: NDArray[np.uint16]
    first: int
    most: int

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Replace values, rounded to whole ones, by what the table has for them.

        Args:
            values: Finite numbers, of any shape.
        """
        places = np.rint(np.asarray(values, dtype=np.float64)) - self.first
        return self.entries[places.clip(0, len(self.entries) - 1).astype(np.intp)].astype(np.float64)


def element(header: Any, name: str) -> Any:
    """Take the value of an element.

    Args:
        header: A pydicom data set.
        name: The element's keyword.

    Returns:
        Its value; None where it is absent or empty.

    Raises:
        ImageError: It is damaged.
    """
    try:
        value = header.get(name)
    except Exception as error:  # pydicom makes values of bytes only when they are asked for
        raise ImageError(f"unreadable DICOM ({type(error).__name__}): its {name} is damaged") from None
    return None if value is None or (isinstance(value, str) and not value.strip("\0 ")) else value


def whole_number(header: Any, name: str) -> int:
    """Take an element that must be there and be a whole number.

    Args:
        header: A pydicom data set.
        name: The element's keyword.

    Raises:
        ImageError: It is absent, or no whole number.
    """
    value = element(header, name)
    if value is None:
        raise ImageError(f"unreadable DICOM: it has no {name}")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ImageError(f"unreadable DICOM: its {name} is no whole number") from None


def numbers(header: Any, name: str) -> list[float | None]:
    """Take the decimal numbers of an element, a decimal comma among them.

    Args:
        header: A pydicom data set.
        name: The element's keyword.

    Returns:
        A number for each value; None for those that are empty, no number, or not finite. Nothing where it is absent.
    """
    try:
        value = header.get(name)
    except Exception:  # such text is no decimal string for pydicom; it may be one for a reader
        raw = getattr(header.get_item(name), "value", None)
        value = raw.decode("ascii", "replace").split("\\") if isinstance(raw, bytes) else None
    many = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return [] if value is None else [_number(each) for each in many]


def curve_of(header: Any, name: str) -> Curve | None:
    """Read the first lookup table of a sequence.

    Args:
        header: A pydicom data set.
        name: ModalityLUTSequence or VOILUTSequence.

    Returns:
        The table; None where there is none, or one without entries.

    Raises:
        ImageError: It is damaged.
    """
    items = element(header, name)
    if not items or not items[0].get("LUTDescriptor") or not items[0].get("LUTData"):
        return None
    try:
        count, first, bits = (int(each) for each in items[0].LUTDescriptor)
        entries = _entries(items[0].LUTData, count & 0xFFFF or 1 << 16, bits, header)
        needed = int(entries.max()).bit_length()
    except Exception as error:
        raise ImageError(f"unreadable DICOM ({type(error).__name__}): its {name} is damaged") from None
    declared = min(bits, 16)
    depth = declared if 0 <= declared - needed < _LEAST_USED or not needed else needed
    return Curve(entries, first, (1 << depth) - 1)


def settle(header: Any) -> None:
    """Write down what gray files leave out, and their sense in capitals, for those who read the header after this.

    Args:
        header: A pydicom data set, which is changed.

    Raises:
        ImageError: It does not say whether it is gray, or in which sense.
    """
    said = element(header, "PhotometricInterpretation")
    if said is None:
        raise ImageError("unreadable DICOM: it has no PhotometricInterpretation")
    kind = "".join(str(said).replace("\0", "").split()).upper()
    if kind in GRAY and kind != said:
        header.PhotometricInterpretation = kind
    for name, usual in _USUAL.items():
        if element(header, name) is None:
            setattr(header, name, usual)


def _number(value: Any) -> float | None:
    text = value.strip("\0 ") if isinstance(value, str) else value
    if isinstance(text, str) and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _entries(data: Any, count: int, bits: int, header: Any) -> NDArray[np.uint16]:
    """Reads entries, of which careless files have fewer than they say."""
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] is not False else ">"
        packed = bits <= 8 and len(data) < 2 * count  # a byte each, as is allowed
        numbers_ = np.frombuffer(data, np.uint8) if packed else np.frombuffer(data[: len(data) & ~1], f"{order}u2")
    else:
        numbers_ = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    return numbers_[:count].astype(np.uint16)
