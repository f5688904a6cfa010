"""Compressed DICOM pixels: how large they will be, read before a decoder makes room for them.

Rows and Columns are a header's word; decoders believe the codestream, of which a kilobyte may hold gigabytes. So both
are compared.
"""

from __future__ import annotations

import struct
from typing import Any

from cxr_lightning.shards.images import ImageError, check_size

INFLATING = {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1"}
"""Transfer syntaxes whose size nobody knows before they are inflated."""

_START_OF_FRAME = {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7}
_ALONE = {0x01, *range(0xD0, 0xD9)}


def require_same_size(header: Any, most_pixels: int) -> None:
    """Refuses compressed pixels of another size than their header says.

    Args:
        header: A DICOM data set, not decoded yet.
        most_pixels: The most that there may be.

    Raises:
        ImageError: They are.
    """
    if not header.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    from pydicom.encaps import get_frame

    size = codestream_size(get_frame(header.PixelData, 0, number_of_frames=1))
    if size is None:  # RLE has none, and makes no more than its header says
        return
    check_size(*size, most_pixels)
    if size != (int(header.Columns), int(header.Rows)):
        raise ImageError(
            f"compressed pixels of {size[0]} x {size[1]}, and a header that says {header.Columns} x {header.Rows}"
        )


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Returns columns and rows of JPEG, JPEG-LS or JPEG 2000, or None for anything else.

    Args:
        data: The codestream, in a JP2 box or not.
    """
    start = data.find(b"\xff\x4f\xff\x51")  # ISO 15444-1: SOC, then SIZ
    if start >= 0 and not data.startswith(b"\xff\xd8") and len(data) >= start + 24:
        right, low, left, top = struct.unpack_from(">4I", data, start + 8)
        return right - left, low - top
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">2H", data, at + 5)
            return columns, rows
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
