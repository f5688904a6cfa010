"""The same pixels have one digest, however they are stored; others have another."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.images import ImageError, encode, load_gray
from cxr_lightning.shards.pixels import pixels_digest

pytestmark = pytest.mark.quick

FILM = np.random.default_rng(0).integers(0, 255, (40, 30), dtype=np.uint8)


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(FILM).save(buffer, kind, **options)
    return buffer.getvalue()


def test_packing_and_inspection_come_to_the_same_digest():
    assert pixels_digest(FILM) == pixels_digest(encode(FILM, "png"))
    jpeg = encode(FILM, "jpg")
    assert pixels_digest(jpeg) == pixels_digest(load_gray(jpeg)) != pixels_digest(FILM)


def test_how_an_image_is_stored_does_not_matter():
    assert pixels_digest(saved("PNG", compress_level=1)) == pixels_digest(saved("PNG", compress_level=9))
    plain, commented = saved("JPEG", quality=95), saved("JPEG", quality=95, progressive=True, comment=b"scanned twice")
    assert plain != commented
    assert pixels_digest(plain) == pixels_digest(commented)


def test_a_pixel_or_the_shape_makes_another_image():
    other = FILM.copy()
    other[3, 4] ^= 1
    digests = {pixels_digest(each) for each in (FILM, other, FILM.T, FILM[::-1], FILM.reshape(30, 40), FILM[:-1])}
    assert len(digests) == 6
    assert {len(each) for each in digests} == {16}


def test_what_cannot_be_decoded_has_no_digest():
    with pytest.raises(ImageError):
        pixels_digest(b"no image")
