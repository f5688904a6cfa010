"""Images of every kind become the gray that a reader sees, and damaged ones become errors."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from cxr_lightning.shards.images import ImageError, encode, fitted, is_plain, load_gray, open_stored, shrink
from tests.shards.pngs import chunk, png

pytestmark = pytest.mark.quick

RAMP = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (30, 1))
REAL = os.environ.get("CXR_REAL_DATA")


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_every_8_bit_mode_becomes_the_same_gray(mode):
    source = np.where(RAMP > 120, 255, 0).astype(np.uint8) if mode == "1" else RAMP
    gray = load_gray(saved(Image.fromarray(source).convert(mode)))
    assert gray.dtype == np.uint8
    assert np.abs(gray.astype(int) - source).max() <= 2


def test_12_bits_in_a_16_bit_png_use_the_full_range():
    gray = load_gray(saved(Image.fromarray(RAMP.astype(np.uint16) * 16)))
    assert (gray.min(), gray.max()) == (0, 255)
    assert np.all(np.diff(gray[0].astype(int)) > 0)


def test_what_is_transparent_is_black():
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    assert load_gray(saved(image)).max() == 0


DEEP = np.linspace(1000, 3000, 40 * 50).reshape(40, 50).astype(np.uint16)
ALPHA, COLOUR, COLOUR_ALPHA = 4, 2, 6
"""Kinds of pixels of a PNG."""


def of_16_bits(values_HWC: np.ndarray, colour: int, *more: bytes) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in values_HWC.astype(">u2"))
    return png(values_HWC.shape[1], values_HWC.shape[0], rows, depth=16, colour=colour, more=b"".join(more))


@pytest.mark.parametrize(("colour", "channels"), [(ALPHA, 1), (COLOUR, 3), (COLOUR_ALPHA, 3)])
def test_16_bits_with_alpha_or_colours_are_as_those_of_gray(colour, channels):
    opaque = np.full((*DEEP.shape, int(colour != COLOUR)), 65535, np.uint16)
    data = of_16_bits(np.dstack([*[DEEP] * channels, opaque]), colour)
    assert np.array_equal(load_gray(data), load_gray(saved(Image.fromarray(DEEP))))
    assert (load_gray(data).min(), load_gray(data).max()) == (0, 255)
    assert np.array_equal(np.asarray(open_stored(data))[..., 1], load_gray(data))
    with Image.open(io.BytesIO(data)) as image:
        assert not is_plain(image)


@pytest.mark.parametrize(("colour", "channels"), [(ALPHA, 1), (COLOUR_ALPHA, 3)])
def test_16_bits_that_are_transparent_are_black_and_set_no_range(colour, channels):
    deep, alpha = DEEP.copy(), np.full(DEEP.shape, 65535, np.uint16)
    deep[:4], alpha[:4] = 60000, 0
    alpha[-1] = 32768
    gray = load_gray(of_16_bits(np.dstack([*[deep] * channels, alpha]), colour))
    whole = load_gray(saved(Image.fromarray(DEEP[4:])))
    assert not gray[:4].any()
    assert np.array_equal(gray[4:-1], whole[:-1])
    assert np.abs(gray[-1] - whole[-1] / 2).max() <= 1
    assert not load_gray(of_16_bits(np.dstack([*[deep] * channels, alpha * 0]), colour)).any()


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (COLOUR, 3)])
def test_a_value_of_16_bits_may_be_the_transparent_one(colour, channels):
    deep = DEEP.copy()
    deep[:4] = 60000
    gray = load_gray(of_16_bits(np.dstack([deep] * channels), colour, chunk(b"tRNS", b"\xea\x60" * channels)))
    assert not gray[:4].any()
    assert np.array_equal(gray[4:], load_gray(saved(Image.fromarray(DEEP[4:]))))


def test_16_bits_of_colours_become_their_lightness():
    random = np.random.default_rng(3).integers(0, 65536, (300, 900, 3), dtype=np.uint16)
    random[0, 0], random[0, 1] = 0, 65535
    lightness = random @ np.array([0.299, 0.587, 0.114])
    assert np.abs(load_gray(of_16_bits(random, COLOUR)) - lightness / 257).max() <= 1


def test_16_bits_of_colours_are_turned_as_their_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = of_16_bits(np.dstack([DEEP] * 3), COLOUR, chunk(b"eXIf", exif.tobytes()[6:]))
    assert np.array_equal(load_gray(data), np.rot90(load_gray(saved(Image.fromarray(DEEP))), -1))


def test_16_bits_of_colours_that_are_cut_off_are_an_error():
    random = np.random.default_rng(4).integers(0, 65536, (90, 90, 4), dtype=np.uint16)
    for colour in (COLOUR, COLOUR_ALPHA):
        data = of_16_bits(random[..., : 3 + (colour == COLOUR_ALPHA)], colour)
        with pytest.raises(ImageError, match="damaged or cut off"):
            load_gray(data[: len(data) // 2])


def test_a_uniform_image_is_no_error():
    assert load_gray(saved(Image.fromarray(np.full((4, 4), 3000, np.uint16)))).max() == 0


def test_a_rotated_jpeg_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_gray(saved(Image.fromarray(RAMP), "JPEG", exif=exif)).shape == (50, 30)


def test_a_cut_off_jpeg_is_an_error_even_where_another_library_allowed_it(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG")
    with pytest.raises(ImageError, match="cut off"):
        load_gray(whole[: len(whole) // 2])


def test_a_jpeg_with_padding_between_its_segments_is_read():
    data = saved(Image.fromarray(RAMP), "JPEG")
    for junk in (b"\0\0", b"\xff\xff\xff", b"\xff\0"):
        assert np.array_equal(load_gray(data[:20] + junk + data[20:]), load_gray(data))


def test_an_image_is_sized_before_it_is_decoded():
    with pytest.raises(ImageError, match="50 x 30 pixels"):
        load_gray(saved(Image.fromarray(RAMP)), most_pixels=1000)


def test_a_bomb_is_an_error():
    # A header that announces 30000 x 30000 pixels, with nothing behind it.
    png = bytearray(saved(Image.fromarray(RAMP)))
    png[16:24] = (30000).to_bytes(4, "big") * 2
    with pytest.raises(ImageError):
        load_gray(bytes(png))


@given(st.binary(max_size=300))
def test_noise_is_an_error_and_never_a_crash(data):
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM"):
        with pytest.raises(ImageError):
            load_gray(head + data)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        load_gray(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="cannot be read"):
        load_gray(tmp_path)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 128))
def test_shrinking_keeps_the_aspect_and_never_enlarges(width, height, size):
    small = shrink(np.zeros((height, width), np.uint8), size)
    assert max(small.shape) == min(size, max(width, height))
    factor = min(1.0, size / max(width, height))
    assert abs(small.shape[0] - height * factor) <= 1
    assert abs(small.shape[1] - width * factor) <= 1


@given(st.integers(1, 200), st.integers(1, 200), st.integers(16, 128))
def test_squares_hold_the_image_or_its_middle(width, height, size):
    gray = np.random.default_rng(width).integers(1, 255, (height, width), dtype=np.uint8)
    assert np.array_equal(fitted(gray, size, "keep"), shrink(gray, size))

    small, padded = shrink(gray, size), fitted(gray, size, "pad")
    assert padded.shape == (max(small.shape),) * 2
    rows, columns = padded.shape[0] - small.shape[0], padded.shape[1] - small.shape[1]
    top, left = rows // 2, columns // 2
    inside = (slice(top, top + small.shape[0]), slice(left, left + small.shape[1]))
    assert np.array_equal(padded[inside], small)
    assert padded.astype(int).sum() == small.astype(int).sum()  # black around it

    cropped, side = fitted(gray, size, "crop"), min(width, height)
    assert cropped.shape == (min(size, side),) * 2
    if side <= size:
        top, left = (height - side) // 2, (width - side) // 2
        assert np.array_equal(cropped, gray[top : top + side, left : left + side])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_may_be_decoded_smaller_but_not_too_small(mode):
    y, x = np.mgrid[:1200, :1000]
    film = Image.fromarray((128 + 90 * np.sin(x / 40) * np.cos(y / 60)).astype(np.uint8)).convert(mode)
    for data in (saved(film, "JPEG", quality=95), saved(film)):
        whole = load_gray(data)
        sides = [min(load_gray(data, at_least=side).shape) for side in (1000, 501, 500, 250, 20)]
        assert sides == ([1000, 1000, 500, 250, 125] if data[:2] == b"\xff\xd8" else [1000] * 5)
        near = shrink(load_gray(data, at_least=256), 128)
        assert np.abs(near.astype(int) - shrink(whole, 128)).max() <= 2


@pytest.mark.parametrize("format", ["jpg", "png"])
def test_encoding_is_repeatable_and_decodes_to_the_same(format):
    first = encode(RAMP, format)
    assert first == encode(RAMP.copy(), format)
    assert np.abs(load_gray(first).astype(int) - RAMP).max() <= (6 if format == "jpg" else 0)


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real radiographs")
def test_the_real_radiographs_load():
    loaded = [load_gray(path) for path in sorted((Path(REAL or "") / "open" / "images").iterdir())]
    assert len(loaded) > 80
    assert all(gray.std() > 5 for gray in loaded)


def test_damaged_exif_is_an_image_that_cannot_be_used(monkeypatch):
    def damaged(image):
        raise TypeError("a tag of another type")

    monkeypatch.setattr("cxr_lightning.shards.images.ImageOps.exif_transpose", damaged)
    with pytest.raises(ImageError, match="damaged"):
        load_gray(encode(np.zeros((8, 8), np.uint8), "png"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="a pipe"):
        load_gray(tmp_path / "a.png")


def test_no_more_room_is_made_for_a_file_than_it_needs(tmp_path):
    gray = np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8)
    (tmp_path / "film.png").write_bytes(encode(gray, "png"))
    tracemalloc.start()
    try:
        assert np.array_equal(load_gray(tmp_path / "film.png"), gray)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
