"""Images as tars of others hold them: what training reads is what serving would read, or it is skipped."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessor

from cxr_lightning.shards.images import ImageError, load_gray, open_stored
from cxr_lightning.stream.pixels import Pixels

pytestmark = pytest.mark.quick


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def wild() -> dict[str, bytes]:
    ramp = np.linspace(0, 4095, 64 * 48).reshape(64, 48).astype(np.uint16)
    gray = (ramp // 16).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = np.dstack([gray, np.where(gray > 128, 255, 0).astype(np.uint8)])
    return {
        "sixteen bits": encoded(Image.fromarray(ramp)),
        "transparent": encoded(Image.fromarray(clear, "LA")),
        "palette": encoded(Image.fromarray(gray).convert("P")),
        "turned": encoded(Image.fromarray(gray), "JPEG", exif=turned, quality=95),
    }


@pytest.mark.parametrize("name", list(wild()))
def test_what_is_no_plain_image_is_read_as_it_is_packed_and_served(name):
    data = wild()[name]
    gray = load_gray(data)
    pixels_CHW = Pixels(CLIPImageProcessor()).decode(data).numpy()
    assert np.array_equal(pixels_CHW.min(0), gray)
    assert np.array_equal(pixels_CHW.max(0), gray)
    assert np.array_equal(np.asarray(open_stored(data).convert("L")), gray)
    assert gray.mean() < 200  # nothing was cut off at white


def test_a_line_of_pixels_is_refused():
    """Resized by its short side to 224, it would take gigabytes."""
    line = encoded(Image.new("L", (4000, 1)))
    for read in (load_gray, open_stored, Pixels(CLIPImageProcessor()).decode):
        with pytest.raises(ImageError, match="is a line"):
            read(line)


def test_other_formats_are_not_even_tried():
    """Pillow would start Ghostscript for an EPS that calls itself a JPEG."""
    for format in ("TIFF", "EPS", "BMP"):
        data = encoded(Image.new("L" if format != "EPS" else "RGB", (8, 8)), format)
        with pytest.raises(OSError, match="cannot identify"):
            open_stored(data)
