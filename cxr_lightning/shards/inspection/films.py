"""An encoded image enters; its size, the digest of its pixels and its look leave, or which check it fails and why.

Sized by its header before a pixel is decoded, and by the set's own `image.size`, so that a few bytes that announce a
wall of pixels cost nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image
from PIL.Image import DecompressionBombError

from cxr_lightning.shards.images import MOST_PIXELS, Gray, ImageError, load_gray, opened, shrink
from cxr_lightning.shards.inspection.beside import beside
from cxr_lightning.shards.looks import NOTHING, Look, look_of
from cxr_lightning.shards.pixels import pixels_digest

_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG"}
THUMB = 224
"""Longest side of a film on the contact sheet."""


class FilmError(ValueError):
    """An image fails a check.

    Attributes:
        check: Which.
    """

    def __init__(self, check: str, what: str) -> None:
        super().__init__(what)
        self.check = check


@dataclass(frozen=True, slots=True)
class Film:
    """What an image is.

    Attributes:
        width: Columns.
        height: Rows.
        digest: Of its pixels; empty where they were not decoded.
        look: What it looks like; `NOTHING` where that was not asked for.
        plain: Whether all its pixels are one gray.
        noted: Whether its file carries words beside the picture, wherever they stand in it.
        behind: Whether bytes stand behind the picture's end.
    """

    width: int
    height: int
    digest: bytes = b""
    look: Look = NOTHING
    plain: bool = False
    noted: bool = False
    behind: bool = False


def examine(data: bytes, suffix: str, *, most_pixels: int = MOST_PIXELS, decode: bool, look: bool) -> Film:
    """Look at an image.

    Args:
        data: Its bytes.
        suffix: Its member's name after the key; the last part of it says its format.
        most_pixels: The most that it may have.
        decode: Whether to decode it; else its header is read.
        look: Whether its look is wanted.

    Raises:
        FilmError: Something is wrong with it.
    """
    try:
        with opened(data, most_pixels) as image:
            format, width, height = str(image.format), image.width, image.height
    except (ImageError, DecompressionBombError) as error:
        told = str(error) if isinstance(error, ImageError) else "more pixels than any radiograph"
        raise FilmError("images", f"{suffix}: its header announces {told}; it was not decoded") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        raise FilmError("decode", f"{suffix}: no PNG or JPEG, or damaged in its header") from None
    noted, behind = beside(data)
    wanted = _FORMATS.get(suffix.rpartition(".")[2])
    if wanted not in (None, format):
        raise FilmError("images", f"{suffix}: it is a {format}")
    if not decode:
        return Film(width, height, look=look_of(data) if look else NOTHING, noted=noted, behind=behind)
    try:
        gray = load_gray(data, most_pixels)
    except ImageError:  # whose words may quote the decoder's, and those the file
        raise FilmError("decode", f"{suffix}: it cannot be decoded: damaged or cut off") from None
    digest = pixels_digest(gray)
    seen = look_of(data) if look else NOTHING
    return Film(width, height, digest, seen, bool(gray.min() == gray.max()), noted, behind)


def thumbnail(data: bytes, most_pixels: int = MOST_PIXELS) -> bytes | None:
    """Shrink an image for the contact sheet.

    Args:
        data: Its bytes.
        most_pixels: The most that it may have.

    Returns:
        A small JPEG; None where it cannot be decoded.
    """
    try:
        gray: Gray = shrink(load_gray(data, most_pixels), THUMB)
    except ImageError:
        return None
    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, "JPEG", quality=76, optimize=True)
    return buffer.getvalue()
