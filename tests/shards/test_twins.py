"""A film that differs in a gray level, which JPEG does not keep, stands in a set once: as inspection will have it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.images import encode
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.pixels import pixels_digest

from .tables import picture, row, write_table

pytestmark = pytest.mark.quick


def near_twin(film: np.ndarray) -> np.ndarray:
    """Returns a film of other JPEG bytes whose decoded pixels are the same."""
    chance, jpeg = np.random.default_rng(5), encode(film, "jpg")
    for _ in range(3000):
        other = film.copy()
        at = tuple(chance.integers(0, film.shape))
        other[at] ^= 1
        changed = encode(other, "jpg")
        if changed != jpeg and pixels_digest(changed) == pixels_digest(jpeg):
            return other
    raise AssertionError("no such film found")


def test_what_decodes_to_the_same_pixels_is_one_film(tmp_path):
    film = np.asarray(picture(3).convert("L").point(lambda level: min(255, 3 * level)))  # white, as burnt-in letters
    write_table(tmp_path / "in", [row(number, patient_id=f"p{number}") for number in range(12)])
    Image.fromarray(film).save(tmp_path / "in" / "images" / "002.png")
    Image.fromarray(near_twin(film)).save(tmp_path / "in" / "images" / "008.png")
    pack("table", tmp_path / "in", out=tmp_path / "out", samples_per_shard=5)
    left = [json.loads(line) for line in (tmp_path / "out.skipped.jsonl").read_text().splitlines()]
    assert [each["kind"] for each in left] == ["same film twice"]
    assert {left[0]["where"], left[0]["reason"].split(" has ")[0]} == {"studies.jsonl:3", "studies.jsonl:9"}
    assert sum(counts["samples"] for counts in read_index(tmp_path / "out").counts.values()) == 11
    pack("table", tmp_path / "in", out=tmp_path / "kept", samples_per_shard=5, duplicates="keep")
    assert sum(counts["samples"] for counts in read_index(tmp_path / "kept").counts.values()) == 12


def test_where_nothing_is_left_to_pack_the_reason_is_told(tmp_path):
    write_table(tmp_path / "in", [row(1), {**row(1), "patient_id": "another"}])
    with pytest.raises(ValueError, match="none of 1 studies can be packed"):
        pack("table", tmp_path / "in", out=tmp_path / "out", max_bad=1.0)
