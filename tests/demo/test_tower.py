from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel

from cxr_lightning.demo.lessons import read_lessons, read_pictures
from cxr_lightning.demo.tower import (
    TowerRecipe,
    expose,
    last_hidden,
    prepare_tower,
    rescale_stream,
    shifted,
    to_pixels,
    waves,
    whitened_patches,
)

pytestmark = pytest.mark.quick

TOY = TowerRecipe(width=16, layers=1, heads=2, side=32, patch=8, steps=3, batch=4, shift=2)


@pytest.fixture(scope="module")
def folder(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tower") / "tower"
    prepare_tower(archive, out, recipe=TOY)
    return out


def test_the_folder_is_a_plain_tower(folder: Path, archive: Path) -> None:
    tower = AutoModel.from_pretrained(folder)
    assert tower.config.model_type == "siglip_vision_model"
    pictures = read_pictures(read_lessons(archive)[:2], 32)
    seen = AutoImageProcessor.from_pretrained(folder)(
        images=[np.stack([p] * 3, -1) for p in pictures], return_tensors="pt"
    )
    pixels = seen["pixel_values"]
    torch.testing.assert_close(pixels[:, 0], to_pixels(pictures), atol=1e-5, rtol=0)
    states = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-1]
    assert states.shape == (2, TOY.grid**2, TOY.width)
    assert 0.3 < float(states.detach().std()) < 0.8  # the recipe's feature_scale, measured on a few pictures
    assert not folder.with_name("tower.partial").exists()


def test_one_seed_one_tower(folder: Path, archive: Path, tmp_path: Path) -> None:
    prepare_tower(archive, tmp_path / "again", recipe=TOY)
    again = AutoModel.from_pretrained(tmp_path / "again").state_dict()
    for name, weight in AutoModel.from_pretrained(folder).state_dict().items():
        assert torch.equal(weight, again[name]), name


def test_training_lowers_the_loss(archive: Path, tmp_path: Path) -> None:
    short = prepare_tower(archive, tmp_path / "short", recipe=replace(TOY, steps=2))
    long = prepare_tower(archive, tmp_path / "long", recipe=replace(TOY, steps=60))
    assert long["loss"] < short["loss"]
    assert 0.0 <= long["findings_micro_f1"] <= 1.0


def test_rescaling_changes_the_size_of_features_and_nothing_else(folder: Path, archive: Path) -> None:
    tower = AutoModel.from_pretrained(folder)
    pixels = to_pixels(read_pictures(read_lessons(archive)[:4], 32))
    with torch.no_grad():
        before = last_hidden(tower, pixels)
        rescale_stream(tower, 3.0, pixels)
        after = last_hidden(tower, pixels)
    torch.testing.assert_close(float(after.std()), 3.0, atol=1e-2, rtol=0)
    torch.testing.assert_close(after / after.std(), before / before.std(), atol=1e-3, rtol=1e-3)


def test_whitened_patches_have_like_and_uncorrelated_outputs() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (400, 16, 16), dtype=np.uint8)
    weight, bias = whitened_patches(pictures, patch=4, width=8)
    pixels = to_pixels(pictures)[:, None].expand(-1, 3, -1, -1)
    outputs = torch.nn.functional.conv2d(pixels, weight, bias, stride=4).flatten(2).transpose(1, 2).reshape(-1, 8)
    torch.testing.assert_close(torch.cov(outputs.T), 0.49 * torch.eye(8), atol=0.03, rtol=0)
    torch.testing.assert_close(outputs.mean(0), torch.zeros(8), atol=1e-3, rtol=0)


def test_more_channels_than_pixels_leave_the_rest_empty() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    weight, _ = whitened_patches(pictures, patch=2, width=8)
    assert weight.shape == (8, 3, 2, 2)
    assert not weight[4:].any()


def test_every_place_has_its_own_waves() -> None:
    assert len(torch.unique(waves(8, 64), dim=0)) == 64


def test_moving_right_and_down_moves_content_right_and_down() -> None:
    picture = np.zeros((1, 8, 8), np.uint8)
    picture[0, 3, 3] = 255
    assert shifted(picture, np.array([2, -1]))[0, 2, 5] == 255
    assert np.array_equal(shifted(picture, np.array([0, 0])), picture)


def test_exposure_keeps_pixels_in_range() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (16, 8, 8), dtype=np.uint8)
    exposed = expose(pictures, np.random.default_rng(1))
    assert exposed.dtype == torch.float32
    assert float(exposed.min()) >= -1.0
    assert float(exposed.max()) <= 1.0
