"""Which of a tower's tokens and layers the projector reads, for each family of towers; MedCLIP as it is published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SwinConfig, SwinModel

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import image_tokens
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.towers import load_tower, tower_config
from tests.families.conftest import TOWERS, write_published

LAYERS = {
    "clip": lambda tower: tower.encoder.layers[-2],
    "siglip": lambda tower: tower.encoder.layers[-1],
    "dinov2": lambda tower: tower.encoder.layer[-1] if hasattr(tower, "encoder") else tower.layers[-1],
    "vit": lambda tower: tower.layers[-2],
    "swin": lambda tower: tower.encoder.layers[-1],
    "medclip": lambda tower: tower.encoder.layers[-1],
}
"""The layer whose output is read by custom of the family, before any last norm."""
LEADING = {"clip": 1, "siglip": 0, "dinov2": 1, "vit": 1, "swin": 0, "medclip": 0}
"""Tokens before the first patch, which are dropped."""


@pytest.mark.parametrize("name", TOWERS)
def test_the_projector_reads_the_patches_of_the_familys_layer(sources, name):
    processor = load_processor(sources[name])
    model = load_model(sources[name], processor)
    tower, config = model.model.vision_tower, model.config
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    text = f"{processor.image_token}\nWhat is it?"
    inputs = processor(images=[Image.fromarray(noise).convert("RGB")], text=[text], return_tensors="pt")
    kept = []
    handle = LAYERS[name](tower).register_forward_hook(
        lambda *call: kept.append(call[2][0] if isinstance(call[2], tuple) else call[2])
    )
    with torch.no_grad():
        features = model.model.get_image_features(inputs["pixel_values"]).pooler_output[0]
        expected = model.model.multi_modal_projector(kept[0])[0, LEADING[name] :]
    handle.remove()
    assert torch.equal(features, expected)
    marked = int((inputs["input_ids"] == processor.image_token_id).sum())
    assert marked == len(features) == config.image_seq_length
    assert marked == image_tokens(config.vision_config, config.vision_feature_select_strategy)


def test_a_cls_token_can_be_kept(sources):
    source = replace(sources["clip"], select="full")
    processor = load_processor(source)
    model = load_model(source, processor)
    images = [Image.new("RGB", (32, 32))]
    inputs = processor(images=images, text=[processor.image_token], return_tensors="pt")
    with torch.no_grad():
        assert model(**inputs).logits.shape[1] >= 17  # 4 x 4 patches and CLS


def test_medclip_is_the_swin_that_it_was_made_of(sources):
    folder = sources["medclip"].vision
    theirs = SwinModel.from_pretrained(f"{folder}/hugging_face")
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for named in (folder, f"{folder}/pytorch_model.bin"):
        ours = load_tower(replace(sources["medclip"], vision=named)).eval()
        assert ours.config.depths == theirs.config.depths
        assert ours.config.num_heads == theirs.config.num_heads
        with torch.no_grad():
            assert torch.equal(ours(pixels).last_hidden_state, theirs.eval()(pixels).last_hidden_state)


def test_medclip_sees_what_its_own_extractor_would_show(sources):
    """Resize, bicubic, and one gray normalisation on all channels; on a square film nothing is padded."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    film = Image.fromarray(noise)
    ours = load_processor(sources["medclip"]).image_processor(images=[film.convert("RGB")], return_tensors="pt")
    shown = np.asarray(film.resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    normal = torch.from_numpy((shown - 0.5862785803043838) / 0.27950088968644304)
    for channel in ours["pixel_values"][0]:
        assert (channel - normal).abs().max() <= 1.01 / 255 / 0.2795  # one level: torch and Pillow round apart


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"vision_model.model.conv1.weight": torch.zeros(1)}, "ResNet50"),
        ({"visual.proj": torch.zeros(1)}, "none of its 1 tensors begins with vision_model.model."),
        ({"vision_model.model.norm.weight": torch.zeros(1)}, "no Swin"),
        ([torch.zeros(1)], "other things than named tensors"),
        (ModelSource(base="x"), "cannot be read as tensors"),  # an object: it is not unpickled
    ],
)
def test_another_layout_is_refused_with_what_was_found(tmp_path, parts, content, why):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelSourceError, match=f"(?s){why}.*Remedy"):
        tower_config(ModelSource(vision=str(tmp_path), language=parts["language"]))


def test_a_medclip_that_lacks_tensors_is_refused(sources, tmp_path):
    tensors = torch.load(f"{sources['medclip'].vision}/pytorch_model.bin", weights_only=True)
    del tensors["vision_model.model.layernorm.weight"]
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelSourceError, match=r"layernorm\.weight"):
        load_tower(replace(sources["medclip"], vision=str(tmp_path)))


def test_the_sizes_of_the_published_swin_are_read_off_its_tensors(tmp_path, parts):
    published = SwinConfig()  # transformers' defaults are microsoft/swin-tiny-patch4-window7-224
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in SwinModel(published).state_dict().items()}
    assert shapes["layernorm.weight"] == (768,)
    write_published(tmp_path, {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()})
    found = tower_config(ModelSource(vision=str(tmp_path), language=parts["language"]))
    for name in ("image_size", "patch_size", "num_channels", "embed_dim", "depths", "num_heads", "window_size"):
        assert np.array_equal(getattr(found, name), getattr(published, name)), name
    assert image_tokens(found, "full") == 49
