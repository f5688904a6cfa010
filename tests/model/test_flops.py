"""Operations by formula are those that PyTorch counts while the model runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import vlm_family
from cxr_lightning.model.flops import ImageFlops, Work, language_flops_per_token, model_flops, tower_flops_per_image
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare
from cxr_lightning.objectives.next_token import next_token
from tests.qwen import write_qwen

TEXT = " ".join(["The heart size is normal and the lungs are clear."] * 3)
STAGES = {
    "projector": Trainable(projector="full"),
    "language lora": Trainable(projector="full", language="lora"),
    "language lora alone": Trainable(projector="frozen", language="lora"),
    "vision lora": Trainable(vision="lora", projector="full", language="lora"),
    "all": Trainable(vision="full", projector="full", language="full"),
}


def counted(model, inputs, targets_RL) -> float:
    """Returns what a step of one sample costs by PyTorch's own count, which knows no causal half of attention."""
    with FlopCounterMode(display=False) as counter:
        next_token(model, inputs, targets_RL).sum.backward()
    return counter.get_total_flops()


def step(model, processor):
    """Returns a sample of one image and text as the model takes it, and what there is to compute on."""
    picture = Image.fromarray(np.full((64, 64, 3), 99, dtype=np.uint8))
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TEXT}]}]
    text = processor.apply_chat_template(turns, tokenize=False)
    inputs = dict(processor(images=[picture], text=[text], return_tensors="pt"))
    tokens = inputs["input_ids"].shape[1]
    targets_RL = torch.full_like(inputs["input_ids"], -100)
    targets_RL[:, -20:] = 5
    grid = inputs.get("image_grid_thw")
    patches = 0 if grid is None else int(grid.prod())
    # PyTorch counts the whole square of attention.
    return inputs, targets_RL, Work(tokens, 2 * tokens**2, 20, 1, patches, patches**2)


@pytest.fixture(scope="module")
def bases(parts, tmp_path_factory):
    """Sources of a model of each kind."""
    towers = ("clip", "siglip", "dinov2", "swin")
    sources = {name: ModelSource(vision=parts[name], language=parts["language"]) for name in towers}
    folder = write_qwen(tmp_path_factory.mktemp("qwen") / "model", parts["language"])
    return {**sources, "qwen": ModelSource(base=str(folder))}


def build(source, trainable):
    processor = load_processor(source)
    model = load_model(source, processor)
    model.set_attn_implementation("eager")  # whose products the counter sees
    adapters = {role: Lora(rank=4, alpha=8) for role in ("vision", "language") if trainable.choice(role) == "lora"}
    prepare(model, trainable, adapters, vlm_family(model.config))
    return model, processor


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["siglip", "qwen"])
def test_what_learns_decides_what_goes_backward(bases, name, stage):
    model, processor = build(bases[name], STAGES[stage])
    inputs, targets_RL, work = step(model, processor)
    ours = model_flops(model, vlm_family(model.config)).of(work)
    # Up to the first layer's input, of which only tiny models notice that nothing below it learns.
    assert ours == pytest.approx(
        counted(model, inputs, targets_RL), rel=0.06 if "lora" in stage or stage == "all" else 0.01
    )


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "swin"])
def test_towers(bases, name):
    model, processor = build(bases[name], STAGES["projector"])
    inputs, targets_RL, work = step(model, processor)
    flops = model_flops(model, vlm_family(model.config))
    assert flops.of(work) == pytest.approx(counted(model, inputs, targets_RL), rel=0.02)
    with FlopCounterMode(display=False) as counter:
        model.model.vision_tower(inputs["pixel_values"])
    assert flops.tower.image == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert tower_flops_per_image(model.config) == flops.tower.image
    assert language_flops_per_token(model.config) == flops.token / 2  # the projector learns: half of it is backward


def test_features_computed_before_cost_no_tower(bases):
    model, _ = build(bases["siglip"], STAGES["projector"])
    family = vlm_family(model.config)
    whole = model_flops(model, family)
    model.model.vision_tower = torch.nn.Identity()  # as `cxr features` leaves it: nothing of the tower is in the model
    assert model_flops(model, family) == replace(whole, tower=ImageFlops())
    assert whole.of(Work(images=2)) == 2 * (whole.tower.image + whole.projector.image)
