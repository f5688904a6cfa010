"""Words and bytes beside a picture are found wherever they stand in its file, and a picture alone has none."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.inspection.beside import MOST_SEGMENTS, Beside, beside
from tests.shards.pngs import chunk

pytestmark = pytest.mark.quick
NAME = b"Fictitious, John"
NOISE = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)
END = b"\xff\xd9"


def saved(format: str, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


JPEG, PNG = saved("JPEG"), saved("PNG")
LAST = len(PNG) - 12


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"icc_profile": b"p" * 200}])
def test_a_picture_alone_has_nothing_beside_it(mode, more):
    assert beside(saved("JPEG", mode, **more)) == Beside(words=False, behind=False)


def test_what_belongs_to_a_picture_is_nothing_beside_it():
    assert beside(JPEG + bytes(8)) == Beside(words=False, behind=False)  # as some writers fill it up
    for mode in ("L", "RGBA", "P", "1"):
        assert beside(saved("PNG", mode, dpi=(90, 90), icc_profile=b"p" * 200)) == Beside(words=False, behind=False)


@pytest.mark.parametrize("place", [2, len(JPEG) - 2], ids=["before", "behind the pixels"])
@pytest.mark.parametrize("marker", [0xFE, 0xE0, 0xE1, 0xE2, 0xEC, 0xED, 0xEE])
def test_words_in_any_segment_of_a_jpeg(marker, place):
    assert beside(JPEG[:place] + segment(marker, NAME) + JPEG[place:]) == Beside(words=True, behind=False)


@pytest.mark.parametrize("place", [33, LAST], ids=["before", "behind the pixels"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"tEXt", b"Patient\0" + NAME),
        (b"zTXt", b"Patient\0\0" + zlib.compress(NAME)),
        (b"iTXt", b"Patient\0\0\0\0\0" + NAME),
        (b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0"),
        (b"paTx", NAME),
    ],
)
def test_words_in_any_chunk_of_a_png(kind, content, place):
    assert beside(PNG[:place] + chunk(kind, content) + PNG[place:]) == Beside(words=True, behind=False)


@pytest.mark.parametrize("picture", [JPEG, PNG], ids=["jpg", "png"])
@pytest.mark.parametrize("more", [NAME, NAME + END, NAME + PNG[LAST:], b"\0" * 9 + NAME, NAME + END + b"\0"])
def test_bytes_behind_the_end_though_they_end_like_a_picture(picture, more):
    assert beside(picture + more) == Beside(words=False, behind=True)


def test_what_has_no_end_is_looked_through_in_no_time():
    for picture in (JPEG, PNG):
        for cut in range(8, len(picture) - 1, 7):
            assert beside(picture[:cut]).behind
    assert beside(JPEG[:-2] + segment(0xFE, b"") * (MOST_SEGMENTS + 1) + END) == Beside(words=True, behind=True)
