"""The bytes of a DICOM file enter, its data set leaves: with or without preamble, deflated or not, at a known cost.

What is deflated is inflated here and not by pydicom, which would go on for as long as there is more to come.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

from cxr_lightning.shards.images import ImageError

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PLAIN = b"1.2.840.10008.1.2.1\0\0\0"
_MOST_WORDS = 16 << 20
"""Bytes that all elements but the pixels may take once they are inflated."""


def read_dataset(data: bytes, most_pixels: int, **more: Any) -> Any:
    """Read a DICOM data set, of which no pixel is decoded yet.

    Args:
        data: The file's content.
        most_pixels: The most that it may hold; inflated, it is no larger than these at 32 bits and their header.
        more: What `pydicom.dcmread` takes.

    Returns:
        A pydicom data set whose `file_meta` names its transfer syntax.

    Raises:
        ImageError: It is larger than that.
        Exception: Whatever pydicom raises where it is damaged.
    """
    import pydicom
    from pydicom.filereader import _read_file_meta_info, read_preamble
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if data.startswith(b"DICM"):  # the preamble alone was lost
        data = bytes(128) + data
    file = io.BytesIO(data)
    read_preamble(file, True)
    if str(_read_file_meta_info(file).get("TransferSyntaxUID", "")) == _DEFLATED.decode():
        # The same file, told to be plain: the name is as long as the other.
        data = data[: file.tell()].replace(_DEFLATED, _PLAIN) + inflated(data[file.tell() :], 4 * most_pixels)
    del file
    header = pydicom.dcmread(io.BytesIO(data), force=True, **more)
    if not header.file_meta.get("TransferSyntaxUID"):
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return header


def inflated(data: bytes, most: int) -> bytes:
    """Inflate raw deflate data (RFC 1951), as DICOM has it.

    Args:
        data: Deflated; padding behind its end is ignored.
        most: Bytes of pixels that may come of it, besides a header.

    Raises:
        ImageError: More would come of it, or it is damaged or cut off.
    """
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = decoder.decompress(data, most + _MOST_WORDS)
    except zlib.error:
        raise ImageError("damaged: its deflated part cannot be inflated") from None
    if not decoder.eof:
        cut = decoder.unconsumed_tail == b""
        raise ImageError("cut off in its deflated part" if cut else "inflates to more than a radiograph can hold")
    return plain
