"""Compressed DICOM pixels: of which kind and how large they will be, read before a decoder makes room for them.

Rows and Columns are a header's word; decoders believe the codestream, of which a kilobyte may hold gigabytes. So both
are compared, and what no radiograph needs (many components, thousands of scans, tiles or packets) is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from cxr_lightning.shards.images import ImageError, check_size
from cxr_lightning.shards.jpeg2000 import jpeg2000_codestream
from cxr_lightning.shards.markers import JpegFrame, jpeg_frame

_JPEG, _LS, _J2K = "1.2.840.10008.1.2.4.", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"
DECODERS = {
    **{_JPEG + end: ("JPEG", _LS) for end in ("50", "51", "57", "70")},
    **{_JPEG + end: ("JPEG-LS", _LS) for end in ("80", "81")},
    **{_JPEG + end: ("JPEG 2000", _J2K) for end in ("90", "91", "201", "202", "203")},
    "1.2.840.10008.1.2.5": ("RLE", "pylibjpeg-rle"),
}
"""Compressed transfer syntaxes that are read: their kind, and the package of the `dicom` extra that decodes it."""

_OVERSHOOT = {_JPEG + end for end in ("91", "203")}
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
"""Transfer syntaxes that compress nothing; what was deflated has become one of them."""

_LONGEST_RUNS = 2
"""RLE that compresses nothing is a 128th longer than the pixels."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """A frame that is not decoded yet.

    Attributes:
        kind: JPEG, JPEG-LS, JPEG 2000 or RLE.
        data: Its codestream.
        components: How many values a pixel has.
        overshoots: Whether decoded values may lie beside the range of the stored ones.
    """

    kind: str
    data: bytes
    components: int
    overshoots: bool


def compressed_frame(header: Any, most_pixels: int) -> Compressed | None:
    """Take the compressed frame of a file, of a kind and size that can be decoded.

    Args:
        header: A DICOM data set, not decoded yet.
        most_pixels: The most that there may be.

    Returns:
        The frame; None where the pixels are not compressed.

    Raises:
        ImageError: It is of another size than its header says, or of a kind that is not decoded here.
    """
    syntax = header.file_meta.TransferSyntaxUID
    if str(syntax) not in DECODERS:
        if str(syntax) in NATIVE:
            return None
        name = syntax.name if syntax.type == "Transfer Syntax" else "an unknown transfer syntax"
        raise ImageError(f"compressed as {name}, which no radiograph is; write it anew: gdcmconv --raw")
    kind, package = DECODERS[str(syntax)]
    _require_decoder(syntax, kind, package)
    from pydicom.encaps import get_frame

    data = get_frame(header.PixelData, 0, number_of_frames=1)
    if kind == "RLE":
        _check_runs(data, header)
        return Compressed(kind, data, int(header.SamplesPerPixel), overshoots=False)
    found = jpeg2000_codestream(data) if kind == "JPEG 2000" else jpeg_frame(data)
    if found is None:
        raise ImageError(f"its pixels are not the {kind} that its header says")
    if kind != "JPEG 2000" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):  # some decoders fill up what is missing
        raise ImageError("cut off: its compressed pixels have no end")
    _check(found, header, most_pixels)
    return Compressed(kind, data, found.components, overshoots=str(syntax) in _OVERSHOOT)


def _check(found: JpegFrame, header: Any, most_pixels: int) -> None:
    check_size(found.width, found.height, most_pixels)
    if (found.width, found.height) != (int(header.Columns), int(header.Rows)):
        said = f"{header.Columns} x {header.Rows}"
        raise ImageError(f"compressed pixels of {found.width} x {found.height}, and a header that says {said}")
    if found.components not in (1, 3):
        raise ImageError(f"compressed pixels of {found.components} components; a radiograph has one")
    if found.excess:
        raise ImageError(
            f"compressed in {found.excess}, which takes far too long to decode; write it anew: gdcmconv --raw"
        )


def _check_runs(data: bytes, header: Any) -> None:
    """RLE has no size of its own, but 128 bytes for each two: no segment is longer than what it may hold."""
    pixels = int(header.Rows) * int(header.Columns)
    if len(data) < 64 or len(data) > _LONGEST_RUNS * 4 * pixels + 128:
        raise ImageError("damaged: its RLE is longer or shorter than any such image")
    count, *offsets = struct.unpack_from("<16L", data)
    if not 1 <= count <= 15 or any(not 64 <= offset <= len(data) for offset in offsets[:count]):
        raise ImageError("damaged: its RLE has no such segments")


def _require_decoder(syntax: Any, kind: str, package: str) -> None:
    from pydicom.pixels import get_decoder

    if not get_decoder(syntax).is_available:
        raise ImageError(f"decoding {kind} needs {package}: pip install 'cxr-lightning[dicom]'")
