"""Files that are no radiograph are named, whatever is wrong with them."""

from __future__ import annotations

import pytest

from cxr_lightning.export.package import export
from cxr_lightning.serve.answer import Answerer
from cxr_lightning.shards.images import ImageError


@pytest.fixture(scope="module")
def answerer(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "model"
    export(runs["stage1"], out=folder)
    return Answerer(folder)


def test_images_shrink_to_what_training_saw(answerer):
    assert answerer.image_size == 64


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.png", b"not an image"),
        ("cut.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("bad.dcm", bytes(128) + b"DICM????"),
    ],
)
def test_what_is_no_radiograph_is_named(answerer, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=name):
        answerer(tmp_path / name)


def test_a_missing_file_is_named(answerer, tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        answerer(tmp_path / "gone.png")
