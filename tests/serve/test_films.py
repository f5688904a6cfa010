"""Files that are no radiograph of a chest are named, whatever is wrong with them, and nothing of them is decoded."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from cxr_lightning.serve.films import MOST_BYTES, open_film
from cxr_lightning.shards.images import ImageError
from tests.shards.test_dicom import VALUES, dicom

pytestmark = pytest.mark.quick


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("text.png", b"not an image", "not a PNG, JPEG or DICOM"),
        ("cut.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", ""),
        ("bad.dcm", bytes(128) + b"DICM????", "DICOM"),
        ("huge.png", png_header(60_000, 60_000), "more pixels than any radiograph"),
        ("film.dcm", dicom(np.stack([VALUES] * 200), NumberOfFrames=200), "200 frames"),
        ("hand.dcm", dicom(BodyPartExamined="HAND"), "its header says HAND, not chest"),
        ("slice", dicom(Modality="CT", BodyPartExamined="CHEST"), r"computed tomography \(CT\)"),
        ("free.dcm", dicom(BodyPartExamined="DOE, JOHN"), "its header says something else, not chest"),
    ],
)
def test_what_is_no_radiograph_is_named(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: .*{told}.*Remedy") as error:
        open_film(tmp_path / name)
    assert "DOE" not in str(error.value)
    assert "Secret" not in str(error.value)


def test_a_size_that_no_radiograph_has_is_not_made_room_for(tmp_path):
    (tmp_path / "huge.png").write_bytes(png_header(60_000, 60_000))
    tracemalloc.start()
    with pytest.raises(ImageError):
        open_film(tmp_path / "huge.png")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_file_that_is_too_long_is_not_read(tmp_path):
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ImageError, match=r"disk\.img: 536,870,913 bytes"):
        open_film(tmp_path / "disk.img")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        open_film(tmp_path / "gone.png")


def test_a_folder_is_no_film(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        open_film(tmp_path)


@pytest.mark.parametrize("part", ["CHEST", "Thorax", "", None, "CHEST_TO_ABDOMEN"])
def test_chests_pass_and_what_says_nothing_too(tmp_path, part):
    (tmp_path / "film").write_bytes(dicom(BodyPartExamined=part, Modality="DX"))
    assert open_film(tmp_path / "film").shape == VALUES.shape


def test_another_part_passes_when_it_is_asked_for(tmp_path):
    (tmp_path / "hand.dcm").write_bytes(dicom(BodyPartExamined="HAND"))
    assert open_film(tmp_path / "hand.dcm", any_body_part=True).shape == VALUES.shape
