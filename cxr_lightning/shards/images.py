"""Image files enter, 8-bit gray arrays leave, shrunk and encoded the same way every time.

PNG and JPEG of any mode; DICOM in `dicom.py`. A file is sized from its header before a pixel is decoded, and one that
is cut off is an error: half a lung filled with gray would train silently. No padding here, for how a square is made of
an image is the model family's business.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from cxr_lightning.shards.contract import Format

MOST_PIXELS = 64_000_000
"""The largest image accepted, 8000 x 8000; the largest flat detectors make about 20 million pixels."""

Gray = NDArray[np.uint8]
_ORIENTATION = 0x0112


LONGEST_ASPECT = 32
"""No side is longer than this many times the other: resized by its short side, a line of pixels would fill memory."""


class ImageError(ValueError):
    """An image cannot be used; the message says why and, where it helps, what to do."""


def load_gray(source: Path | bytes, most_pixels: int = MOST_PIXELS) -> Gray:
    """Load a radiograph as gray levels.

    Args:
        source: The path or the content of a PNG, JPEG or DICOM file.
        most_pixels: Refuse larger images, before decoding them.

    Returns:
        Gray levels of shape (height, width), bright where the body absorbs.

    Raises:
        ImageError: The file is missing, damaged, too large, or no image of these kinds.
    """
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():
            raise ImageError("it cannot be read: a folder, a pipe or a device")  # which may never end
        data = source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise ImageError("there is no such file") from None
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror})") from None
    if data[128:132] == b"DICM":
        # Only here, for pydicom is an extra and slow to import.
        from cxr_lightning.shards.dicom import load_dicom

        return load_dicom(data, most_pixels)
    return _load_picture(data, most_pixels)


def shrink(gray: Gray, size: int) -> Gray:
    """Shrink an image so that its longest side is `size`; the aspect is kept and nothing is ever enlarged.

    Args:
        gray: Gray levels of shape (height, width).
        size: Longest side wanted, in pixels.

    Returns:
        Gray levels, resampled by Pillow's Lanczos filter, which averages over all source pixels when shrinking.
    """
    height, width = gray.shape
    longest = max(height, width)
    if longest <= size:
        return gray
    target = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
    return np.asarray(Image.fromarray(gray).resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0))


def encode(gray: Gray, format: Format, quality: int = 95) -> bytes:
    """Encode an image.

    Args:
        gray: Gray levels of shape (height, width).
        format: jpg or png.
        quality: JPEG quality, 1 to 95; PNG is lossless and ignores it.

    Returns:
        The file's content, without metadata. Equal pixels, equal bytes with one version of Pillow.
    """
    buffer = io.BytesIO()
    if format == "png":
        Image.fromarray(gray).save(buffer, "PNG")
    else:
        Image.fromarray(gray).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


@contextmanager
def opened(data: bytes, most_pixels: int = MOST_PIXELS) -> Iterator[Image.Image]:
    """Open a PNG or JPEG, sized by its header; no other format is tried, and one that is cut off will not decode.

    Args:
        data: The file's content.
        most_pixels: Refuse larger images.

    Yields:
        The image, of which no pixel is decoded yet.

    Raises:
        ImageError: It is too large.
        OSError: It is of another kind.
    """
    # A process-wide switch of Pillow that other libraries turn on; with it, cut-off files pass as images.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        check_size(*image.size, most_pixels)
        yield image


def is_plain(image: Image.Image) -> bool:
    """Tell whether an opened image is 8-bit gray or colour as it stands: no transparency, not turned by its EXIF.

    Args:
        image: An opened image; its pixels are not looked at.
    """
    turned = "exif" in image.info and image.getexif().get(_ORIENTATION, 1) != 1
    return image.mode in ("L", "RGB") and "transparency" not in image.info and not turned


def open_stored(data: bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """Open an image out of a shard as RGB; what is no plain 8-bit image becomes gray just as `load_gray` makes it.

    Args:
        data: A JPEG or PNG.
        most_pixels: Refuse larger images, before decoding them.

    Raises:
        ImageError: It is too large.
        OSError, SyntaxError, ValueError: Whatever Pillow raises, if it is damaged or cut off.
    """
    with opened(data, most_pixels) as image:
        if is_plain(image):
            return image.convert("RGB")
        return Image.fromarray(_to_gray(ImageOps.exif_transpose(image))).convert("RGB")


def stretch(values: NDArray[np.generic]) -> Gray:
    """Map the lowest value to 0 and the highest to 255, linearly.

    Args:
        values: Finite numbers of any type.
    """
    wide = values.astype(np.float32)
    low, high = float(wide.min()), float(wide.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((wide - low) * (255.0 / (high - low))).astype(np.uint8)


def check_size(width: int, height: int, most_pixels: int) -> None:
    """Refuse an image by what its header says.

    Args:
        width: Columns.
        height: Rows.
        most_pixels: The most that columns times rows may be.

    Raises:
        ImageError: It is too large.
    """
    if max(width, height) > LONGEST_ASPECT * min(width, height):
        raise ImageError(f"{width} x {height} pixels is a line, no radiograph")
    if width * height > most_pixels:
        raise ImageError(f"{width} x {height} pixels, more than the {most_pixels:,} that a radiograph may have")


def _load_picture(data: bytes, most_pixels: int) -> Gray:
    try:
        with opened(data, most_pixels) as image:
            image.load()
            return _to_gray(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError("the header announces more pixels than any radiograph has") from None
    except UnidentifiedImageError:
        raise ImageError("not a PNG, JPEG or DICOM file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"damaged or cut off ({error})") from None
    except (
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
        struct.error,
    ) as error:  # damaged EXIF, each its own
        raise ImageError(f"damaged ({type(error).__name__})") from None


def _to_gray(image: Image.Image) -> Gray:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits a pixel, of which detectors fill 10 to 16: the brightest pixel, not 65535, is white.
        return stretch(np.asarray(image))
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA", "La", "RGBa"):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.asarray(image.convert("L"))
