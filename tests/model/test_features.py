"""What is kept of a tower is what its model would have computed, for every tower, bit for bit."""

from __future__ import annotations

import copy
import io
import logging

import pytest
import torch
from PIL import Image

from cxr_lightning.export.trial import trial_inputs
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.features import (
    FrozenFeaturesError,
    GivenFeatures,
    Tower,
    identity,
    made_with,
    open_tower,
    replace_tower,
    tower_of,
)
from cxr_lightning.model.generation import generate
from cxr_lightning.model.keeping import Keeper
from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.features import FeatureFolder, files_of
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import collate
from tests.stream.test_skipped import changed, packed

TOWERS = ("clip", "siglip", "dinov2", "swin")
FLOAT = torch.float32


def opened(parts, tower="siglip", **options):
    source = ModelSource(vision=parts[tower], language=parts["language"], **options)
    processor = load_processor(source)
    return source, processor, Pixels(processor.image_processor)


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_with_features_computes_the_same_bits(parts, tower, images, dtype):
    source, processor, pixels = opened(parts, tower)
    model = load_model(source, processor, dtype=dtype)
    inputs = trial_inputs(processor)
    inputs = {name: value.repeat(images, *[1] * (value.dim() - 1)) for name, value in inputs.items()}
    inputs["pixel_values"] = torch.randn_like(inputs["pixel_values"]).to(dtype)

    def computed(vision: torch.Tensor) -> list[torch.Tensor]:
        projector = model.model.multi_modal_projector.requires_grad_(True)
        projector.zero_grad()
        logits = model(**{**inputs, "pixel_values": vision}).logits
        logits.float().logsumexp(-1).sum().backward()
        return [logits, *(parameter.grad for parameter in projector.parameters())]

    before = computed(inputs["pixel_values"])
    kept = tower_of(model)
    features = torch.cat([kept(each[None]) for each in inputs["pixel_values"]]).contiguous()
    replace_tower(model, kept, pixels)
    # Pixels are still taken, for generated text.
    for vision in (features, inputs["pixel_values"]):
        assert all(map(torch.equal, before, computed(vision)))
    assert not [name for name, _ in model.named_parameters() if "vision" in name]
    assert not [name for name in model.state_dict() if "vision" in name]


def test_text_is_generated_as_with_the_tower(parts):
    source, processor, pixels = opened(parts)
    model = load_model(source, processor)
    turns = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is there?"}]}]]
    films = [[Image.effect_noise((40, 40), 60).convert("RGB")]]
    before = generate(model, processor, turns, films, max_new_tokens=6)
    kept = tower_of(model)
    replace_tower(model, kept, pixels)
    assert generate(model, processor, turns, films, max_new_tokens=6) == before


@pytest.mark.parametrize("tower", TOWERS)
def test_a_tower_alone_is_that_of_its_model(parts, tower):
    source, processor, pixels = opened(parts, tower)
    alone, within = open_tower(source, processor, FLOAT), tower_of(load_model(source, processor))
    assert identity(alone, pixels, FLOAT) == identity(within, pixels, FLOAT)
    images = torch.randn(2, *pixels.outline(1)["pixel_values"].shape[1:])
    assert torch.equal(alone(images), within(images))
    half = open_tower(source, processor, torch.bfloat16)
    assert identity(half, pixels, FLOAT)["weights"] == identity(alone, pixels, FLOAT)["weights"]
    assert half.form(pixels).dtype == torch.bfloat16


def test_whatever_changes_the_features_changes_the_identity(parts):
    source, processor, pixels = opened(parts)
    tower = open_tower(source, processor, FLOAT)
    first = identity(tower, pixels, FLOAT)
    assert first == identity(open_tower(*opened(parts)[:2], FLOAT), pixels, FLOAT)
    retrained = copy.deepcopy(tower.module)
    with torch.no_grad():
        retrained.get_parameter(
            "post_layernorm.weight" if hasattr(retrained, "post_layernorm") else next(retrained.named_parameters())[0]
        ).mul_(1.5)
    otherwise = copy.deepcopy(processor.image_processor)
    otherwise.image_mean = [0.4, 0.4, 0.4]
    others = {
        "weights": identity(Tower(retrained, tower.layer), pixels, FLOAT),
        "layer": identity(Tower(tower.module, -2), pixels, FLOAT),
        "image_processor": identity(tower, Pixels(otherwise), FLOAT),
        "decode": identity(tower, Pixels(processor.image_processor, "scaled"), FLOAT),
        "precision": identity(tower, pixels, torch.bfloat16),
        "architecture": identity(open_tower(*opened(parts, "dinov2")[:2], FLOAT), pixels, FLOAT),
    }
    for name, other in others.items():
        assert first[name] != other[name]
    assert made_with().keys() == {"torch", "transformers", "processor"}


def test_what_cannot_be_kept_is_refused(parts):
    source, processor, pixels = opened(parts)
    model = load_model(source, processor)
    model.config.vision_feature_layer = [-2, -1]
    with pytest.raises(FrozenFeaturesError, match="2 hidden states"):
        tower_of(model)
    model.config.model_type = "qwen2_vl"
    with pytest.raises(FrozenFeaturesError, match="qwen2_vl models cannot be kept"):
        tower_of(model)
    pixels.late = False
    with pytest.raises(FrozenFeaturesError, match="no fixed place"):
        identity(open_tower(source, processor, FLOAT), pixels, FLOAT)


def kept(parts, tmp_path, reader: ShardReader, told=lambda _: None) -> tuple[FeatureFolder, Tower, Pixels]:
    """Keeps the features of a shard."""
    source, processor, pixels = opened(parts)
    tower, folder = open_tower(source, processor, FLOAT), FeatureFolder(str(tmp_path / "features"))
    folder.describe(identity(tower, pixels, FLOAT), tower.form(pixels), made_with())
    keeper = Keeper(folder, tower, pixels, batch=3, workers=1)
    for file in files_of(reader.samples):
        keeper.keep(file, reader, told)
    return folder, tower, pixels


@pytest.fixture(scope="module")
def good(shards):
    from cxr_lightning.shards.index import read_index

    reader = ShardReader(read_index(shards).split("train"))
    return [sample for sample in map(reader.__getitem__, range(12)) if len(sample.images) == 1]


def test_samples_that_cannot_be_used_are_left_blank(parts, tmp_path, good, caplog, monkeypatch):
    colour = io.BytesIO()
    Image.effect_noise((50, 30), 90).convert("RGB").point(lambda level: level // 2).save(colour, "PNG")
    odd, two = changed(good[0], {"png": b"no image"}), changed(good[1], {"png": colour.getvalue(), "lateral.png": b"-"})
    samples = [good[0], odd, good[2], two, changed(good[1], {"png": colour.getvalue()})]
    counts: list[int] = []
    reader = packed(tmp_path / "shards", samples)
    with caplog.at_level(logging.WARNING):
        folder, tower, pixels = kept(parts, tmp_path, reader, counts.append)
    assert counts == [3, 2]
    assert "left blank: s1: image cannot be decoded" in caplog.text
    (file,) = files_of(reader.samples)
    assert not folder.damaged(file)
    assert folder.blanks(file) == 2
    read = folder.reader(reader.samples)
    for number in (0, 2, 4):
        views = [pixels.decode(next(iter(reader[number].images.values())))]
        assert torch.equal(read(number, 1), tower(pixels.normalise(pixels.resize(views))))


def test_one_image_that_cannot_be_resized_leaves_the_others(parts, tmp_path, good, monkeypatch):
    resize = Pixels.resize

    def fussy(self, views):
        if any(view.shape[-1] == 47 for view in views):
            raise ValueError("not this one")
        return resize(self, views)

    monkeypatch.setattr(Pixels, "resize", fussy)
    image = io.BytesIO()
    Image.new("L", (47, 40), 90).save(image, "PNG")
    reader = packed(tmp_path / "shards", [good[0], changed(good[0], {"png": image.getvalue()}), good[1]])
    folder, _, _ = kept(parts, tmp_path, reader)
    (file,) = files_of(reader.samples)
    assert folder.blanks(file) == 1
    assert folder.reader(reader.samples)(2, 1).shape[0] == 1


def test_a_shard_that_is_gone_stops(parts, tmp_path, good):
    reader = packed(tmp_path / "shards", [good[0]])
    (tmp_path / "shards" / "a.tar").unlink()
    with pytest.raises(StorageError):
        kept(parts, tmp_path, reader)
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["features.json"]


def test_text_alone_asks_for_no_features(parts):
    _, processor, pixels = opened(parts)
    encoder = Encoder(processor, "conversation", 200)
    turns = [{"role": "user", "content": "What is an effusion?"}, {"role": "assistant", "content": "Fluid."}]
    alone = encoder(RawSample("a", {"conversation": turns, "summary": ""}, {}), lambda _: pytest.fail("no image"))
    assert alone.vision == {}
    encoder.blank = torch.zeros(1, 16, 32)
    nothing = encoder.stand_in()
    batch = collate([alone], "packed", 0, None, pixels, nothing)
    assert batch["inputs"]["pixel_values"].shape == (1, 16, 32)
    assert batch["supervised"] == [alone.supervised]


@pytest.mark.parametrize("tower", TOWERS)
def test_features_lie_in_memory_as_the_tower_lays_them(parts, tower):
    """Else bfloat16 losses on CPU differ from the second step on: products of another layout, other last bits."""
    source, processor, pixels = opened(parts, tower)
    kept = open_tower(source, processor, FLOAT)
    before = kept(torch.randn(3, *pixels.outline(1)["pixel_values"].shape[1:]))
    after = GivenFeatures(kept, pixels)(before.contiguous()).last_hidden_state
    assert torch.equal(after, before)
    assert after.stride() == before.stride()
    assert before.is_contiguous() == (tower != "siglip")


def test_the_tower_belongs_to_nobody(parts):
    source, processor, pixels = opened(parts)
    tower = open_tower(source, processor, FLOAT)
    stand = GivenFeatures(tower, pixels)
    assert not list(stand.parameters())
    assert not stand.state_dict()
