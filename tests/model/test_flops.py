"""Operations by formula are those that PyTorch counts while the model runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import TEXT, vlm_family
from cxr_lightning.model.flops import ImageFlops, Work, language_flops_per_token, model_flops, tower_flops_per_image
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare
from cxr_lightning.objectives.next_token import next_token
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.rows import collate
from tests.families.conftest import sample
from tests.families.models import WRITERS

TOWERS = ("clip", "siglip", "dinov2", "swin")
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


def step(processor, answer="The heart size is normal and the lungs are clear. " * 3):
    """Returns a sample of one image and text as the model takes it, and what there is to compute on."""
    encoder = Encoder(processor, "conversation", 1024)
    encoded = encoder(sample("one", 1, answer=answer))
    batch = collate([encoded], "padded", 0, encoder.typed_image_token, encoder.pixels)
    inputs = batch["inputs"]
    if inputs["pixel_values"].dtype == torch.uint8:
        inputs["pixel_values"] = encoder.pixels.normalise(inputs["pixel_values"])
    tokens, grid = batch["tokens"], inputs.get("image_grid_thw")
    patches = 0 if grid is None else int(grid.prod())
    # PyTorch counts the whole square of attention.
    work = Work(tokens, 2 * tokens**2, encoded.supervised, 1, patches, patches**2)
    return inputs, batch["targets_RL"], work


@pytest.fixture(scope="module")
def sources(parts, tmp_path_factory):
    """A source of each family and tower."""
    folder = tmp_path_factory.mktemp("complete")
    composed = {name: ModelSource(vision=parts[name], language=parts["language"]) for name in TOWERS}
    whole = {name: ModelSource(base=str(write(folder / name, parts["language"]))) for name, write in WRITERS.items()}
    return {**composed, **whole}


def build(source, trainable):
    processor = load_processor(source)
    model = load_model(source, processor)
    model.set_attn_implementation("eager")  # whose products the counter sees
    adapters = {role: Lora(rank=4, alpha=8) for role in ("vision", "language") if trainable.choice(role) == "lora"}
    prepare(model, trainable, adapters, vlm_family(model.config))
    return model, processor


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["siglip", "qwen2_5_vl"])
def test_what_learns_decides_what_goes_backward(sources, name, stage):
    model, processor = build(sources[name], STAGES[stage])
    inputs, targets_RL, work = step(processor)
    ours = model_flops(model, vlm_family(model.config)).of(work)
    # Up to the first layer's input, of which only tiny models notice that nothing below it learns.
    assert ours == pytest.approx(
        counted(model, inputs, targets_RL), rel=0.06 if "lora" in stage or stage == "all" else 0.01
    )


@pytest.mark.parametrize("name", [*TOWERS, *WRITERS])
def test_families(sources, name):
    model, processor = build(sources[name], STAGES["language lora"])
    inputs, targets_RL, work = step(processor)
    ours = model_flops(model, vlm_family(model.config)).of(work)
    # InstructBLIP's Q-Former reads the instruction too, which is not counted: little beside a tower of real size.
    assert ours == pytest.approx(counted(model, inputs, targets_RL), rel=0.1 if name == "instructblip" else 0.05)


@pytest.mark.parametrize("name", TOWERS)
def test_towers(sources, name):
    model, processor = build(sources[name], STAGES["projector"])
    inputs, targets_RL, work = step(processor)
    flops = model_flops(model, vlm_family(model.config))
    assert flops.of(work) == pytest.approx(counted(model, inputs, targets_RL), rel=0.02)
    with FlopCounterMode(display=False) as counter:
        model.model.vision_tower(inputs["pixel_values"])
    assert flops.tower.image == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert tower_flops_per_image(model.config) == flops.tower.image
    assert language_flops_per_token(model.config) == flops.token / 2  # the projector learns: half of it is backward


def test_features_computed_before_cost_no_tower(sources):
    model, _ = build(sources["siglip"], STAGES["projector"])
    family = vlm_family(model.config)
    whole = model_flops(model, family)
    model.model.vision_tower = torch.nn.Identity()  # as `cxr features` leaves it: nothing of the tower is in the model
    assert model_flops(model, family) == replace(whole, tower=ImageFlops())
    assert whole.of(Work(images=2)) == 2 * (whole.tower.image + whole.projector.image)


def test_a_language_model_alone(parts):
    model = AutoModelForCausalLM.from_pretrained(parts["language"], attn_implementation="eager")
    ids_1L = torch.arange(3, 103)[None]
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids_1L, labels=ids_1L).loss.backward()
    assert model_flops(model, TEXT).of(Work(100, 2 * 100**2, 100)) == pytest.approx(counter.get_total_flops(), rel=0.01)
