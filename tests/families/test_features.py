"""Families whose tower stands apart train from its features as from images; the others are refused."""

from __future__ import annotations

import pytest
import torch

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.decoder import last_hidden
from cxr_lightning.model.features import PLACES, FrozenFeaturesError, identity, replace_tower, tower_of
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.rows import collate
from tests.families.conftest import ONE_IMAGE, sample

APART = ("medclip", "gemma3", "blip2", "instructblip")


@pytest.mark.parametrize("family", APART)
def test_a_batch_of_features_is_computed_as_one_of_images(sources, family):
    source = sources[family]
    processor = load_processor(source)
    model = load_model(source, processor)
    encoder = Encoder(processor, "conversation", 600)
    tower = tower_of(model)
    form = tower.form(encoder.pixels)
    assert identity(tower, encoder.pixels, torch.float32)["precision"] == "float32"
    samples = [sample("a", 1), sample("b", 1 if family in ONE_IMAGE else 2, answer="Clear.")]

    def computed(encoded):
        token = processor.tokenizer.pad_token_id
        inputs = dict(collate(encoded, "padded", token, encoder.typed_image_token, encoder.pixels)["inputs"])
        if inputs["pixel_values"].dtype == torch.uint8:
            inputs["pixel_values"] = encoder.pixels.normalise(inputs["pixel_values"])
        return inputs, last_hidden(model, inputs)

    inputs, before = computed([encoder(each) for each in samples])
    features = iter(tower(inputs["pixel_values"]).split([len(each.images) for each in samples]))
    replace_tower(model, tower, encoder.pixels)
    given, after = computed([encoder(each, lambda _: next(features)) for each in samples])
    assert given["pixel_values"].shape[1:] == form.shape
    assert given.keys() == inputs.keys()
    assert torch.equal(after, before)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_a_tower_with_its_projector_inside_is_refused(sources, family):
    model = load_model(sources[family], load_processor(sources[family]))
    assert model.config.model_type not in PLACES
    with pytest.raises(FrozenFeaturesError, match="Remedy"):
        tower_of(model)
