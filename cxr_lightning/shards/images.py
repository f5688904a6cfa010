"""Image files enter, 8-bit gray arrays leave, shrunk and encoded the same way every time.

PNG and JPEG of any mode; DICOM in `dicom.py`. A file is sized from its header before a pixel is decoded, and one that
is cut off is an error: half a lung filled with gray would train silently. The aspect is kept and nothing is padded,
for how a square is made of an image is the model family's business, unless squares are asked for.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from cxr_lightning.shards.contract import Format
from cxr_lightning.shards.deep import deep_gray, is_deep, stretched
from cxr_lightning.shards.markers import JpegFrame, jpeg_frame

MOST_PIXELS = 64_000_000
"""The largest image accepted, 8000 x 8000; the largest flat detectors make about 20 million pixels."""

MOST_CHUNKS = 100_000
"""Of a PNG; its pixels come in chunks of 8 KiB and more, and each chunk takes 10 microseconds."""

_MOST_BESIDE = 64 << 20
"""Bytes of a file beside its pixels at 32 bits each."""

Gray = NDArray[np.uint8]
Fit = Literal["keep", "pad", "crop"]
"""What becomes of an image that is no square: it stays so, is padded to one, or is cropped to one."""

_ORIENTATION = 0x0112


LONGEST_ASPECT = 32
"""No side is longer than this many times the other: resized by its short side, a line of pixels would fill memory."""


class ImageError(ValueError):
    """An image cannot be used; the message says why and, where it helps, what to do."""


def load_gray(source: Path | bytes, most_pixels: int = MOST_PIXELS, at_least: int | None = None) -> Gray:
    """Load a radiograph as gray levels.

    Args:
        source: The path or the content of a PNG, JPEG or DICOM file.
        most_pixels: Refuse larger images, before decoding them.
        at_least: A JPEG may be decoded smaller, by a half, a quarter or an eighth, as long as no side is shorter than
            this. Its decoder averages as it goes, and an image that is shrunk to half of this is off by a level or two.

    Returns:
        Gray levels of shape (height, width), bright where the body absorbs.

    Raises:
        ImageError: The file is missing, damaged, too large, or no image of these kinds.
    """
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():
            raise ImageError("it cannot be read: a folder, a pipe or a device")  # which may never end
        data = source if isinstance(source, bytes) else _read(source, 4 * most_pixels + _MOST_BESIDE)
    except FileNotFoundError:
        raise ImageError("there is no such file") from None
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror})") from None
    except ImageError:
        raise
    except ValueError:  # of a path with a zero byte in it
        raise ImageError("the file cannot be read: no file has such a name") from None
    if is_dicom(data):
        # Only here, for pydicom is an extra and slow to import.
        from cxr_lightning.shards.dicom import load_dicom

        return load_dicom(data, most_pixels)
    return _load_picture(data, most_pixels, at_least)


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM: by its prefix, or where that was left out, by an element of its first group.

    Args:
        data: The file's content, or the first few hundred bytes of it.
    """
    if data[128:132] == b"DICM" or data.startswith(b"DICM"):
        return True
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    if data[:2] == b"\0\x08":
        return explicit
    return data[:2] in (b"\x02\0", b"\x08\0") and (explicit or int.from_bytes(data[4:8], "little") < 1024)


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


def fitted(gray: Gray, size: int, fit: Fit) -> Gray:
    """Shrink an image to the size it is stored in, and make a square of it where one is asked for.

    Args:
        gray: Gray levels of shape (height, width).
        size: Longest side wanted, in pixels; what is smaller is not enlarged.
        fit: keep (the aspect as it is), pad (a square of the longest side, the image in its middle and black around
            it), or crop (the square in the middle, of the shortest side).

    Returns:
        Gray levels; with pad and crop of shape (side, side), side being at most `size`.
    """
    if fit == "crop":
        height, width = gray.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return shrink(np.ascontiguousarray(gray[top : top + side, left : left + side]), size)
    small = shrink(gray, size)
    if fit == "keep":
        return small
    height, width = small.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(small, ((top, side - height - top), (left, side - width - left)))


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
    _check_head(data, most_pixels)
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        check_size(*image.size, most_pixels)
        yield image


def is_plain(image: Image.Image) -> bool:
    """Tell whether an opened image is 8-bit gray or colour as it stands: no transparency, not turned by its EXIF.

    Args:
        image: An opened image, of which no pixel is decoded yet.
    """
    turned = "exif" in image.info and image.getexif().get(_ORIENTATION, 1) != 1
    return image.mode in ("L", "RGB") and "transparency" not in image.info and not turned and not is_deep(image)


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
        return Image.fromarray(_upright(image, data)).convert("RGB")


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
        raise ImageError(f"{width} x {height} pixels, more pixels than any radiograph has ({most_pixels:,})")


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ImageError(f"larger than {most >> 20} MiB, which no radiograph is")
        data = file.read(size + 1)  # what is asked for is made room for
        return data if len(data) <= size else data + file.read(most - len(data))  # it grew, or never had a size


def _check_head(data: bytes, most_pixels: int) -> None:
    """Refuses a PNG or JPEG by its first bytes, before Pillow walks through what may be millions of parts."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 33:
        width, height = struct.unpack_from(">2I", data, 16)
        check_size(width, height, most_pixels)
        at = 8
        for _ in range(MOST_CHUNKS):
            if at >= len(data):
                return
            at += 12 + int.from_bytes(data[at : at + 4])
        raise ImageError(f"a PNG of more than {MOST_CHUNKS:,} chunks")
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(jpeg_frame(data), len(data), most_pixels)


def _check_jpeg(frame: JpegFrame | None, size: int, most_pixels: int) -> None:
    if frame is None:
        raise ImageError("damaged before its pixels begin, or a JPEG of a kind that no radiograph is")
    check_size(frame.width, frame.height, most_pixels)
    if frame.excess:
        raise ImageError(f"a JPEG of {frame.excess}, which takes far too long to decode")
    if 8 * size < frame.width * frame.height // 64:  # a block of 64 pixels takes a bit at least
        raise ImageError(f"cut off: {size} bytes cannot hold {frame.width} x {frame.height} pixels")


def _load_picture(data: bytes, most_pixels: int, at_least: int | None) -> Gray:
    try:
        with opened(data, most_pixels) as image:
            if at_least is not None and image.format == "JPEG":
                image.draft(None, (at_least, at_least))
            return _upright(image, data)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError("the header announces more pixels than any radiograph has") from None
    except UnidentifiedImageError:
        raise ImageError("not a PNG, JPEG or DICOM file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"damaged or cut off ({error})") from None
    except Exception as error:  # damaged EXIF above all, of which each part has errors of its own
        raise ImageError(f"damaged ({type(error).__name__})") from None


def _upright(image: Image.Image, data: bytes) -> Gray:
    """Decodes an image that was opened, turned as its EXIF says."""
    if not is_deep(image):
        return _to_gray(ImageOps.exif_transpose(image))
    with Image.open(io.BytesIO(data), formats=("PNG",)) as low:
        plain = Image.fromarray(stretched(*deep_gray(image, low)))
    plain.info.update(image.info)
    return np.asarray(ImageOps.exif_transpose(plain))


def _to_gray(image: Image.Image) -> Gray:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits a pixel, of which detectors fill 10 to 16: the brightest pixel, not 65535, is white.
        values = np.asarray(image)
        if values.dtype != np.uint16:
            return stretch(values)
        clear = image.info.get("transparency")
        return stretched(values, None if clear is None else np.where(values == clear, 0, 0xFFFF).astype(np.uint16))
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA", "La", "RGBa"):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.asarray(image.convert("L"))
