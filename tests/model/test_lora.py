"""Adapters by role: each role's own settings, and a merge that is the model with adapters on."""

from __future__ import annotations

import io
from itertools import product

import pytest
import torch

from cxr_lightning.export.proof import prove_merge
from cxr_lightning.export.trial import trial_inputs, trial_logits
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.lora import Lora, NoLoraTargetError, loras_from_json, loras_to_json
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import NothingLearnsError, Trainable, learning_names, prepare, table
from tests.merging import clean_model

BOTH = Trainable(vision="lora", projector="frozen", language="lora")
LANGUAGE = Lora(rank=4, alpha=8, rslora=True)
VISION = Lora(rank=2, alpha=3, dora=True, targets=("q_proj", "v_proj"))


def base(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    processor = load_processor(source)
    return load_model(source, processor), processor


def learn(model, roles=("vision", "language")):
    """Moves every adapter of the given roles off its beginning, by amounts a training could have learned."""
    torch.manual_seed(3)
    family = vlm_family(model.config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and role_of(name, family) in roles:
                parameter.add_(0.3 * parameter.abs().mean().clamp(min=0.05) * torch.randn_like(parameter))


def sizes(model, role):
    names = [name for name, _ in model.named_parameters() if role_of(name, vlm_family(model.config)) == role]
    return {part: [name for name in names if f"lora_{part}" in name] for part in ("A", "B", "magnitude_vector")}


def test_each_role_has_its_own_settings(parts):
    model, _ = base(parts)
    counts = prepare(model, BOTH, BOTH.loras(LANGUAGE, VISION), vlm_family(model.config))
    vision, language = sizes(model, "vision"), sizes(model, "language")
    parameters = dict(model.named_parameters())
    assert {parameters[name].shape[0] for name in vision["A"]} == {2}
    assert {parameters[name].shape[0] for name in language["A"]} == {4}
    assert {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name in vision["A"]} == {"q_proj", "v_proj"}
    assert {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name in language["A"]} > {"q_proj", "down_proj"}
    assert len(vision["magnitude_vector"]) == len(vision["A"]) > 0
    assert not language["magnitude_vector"]
    assert all(".lora_" in name for name in learning_names(model))
    assert counts.roles["vision"].learning > 0 < counts.roles["language"].learning
    scales = {name: each.scaling["default"] for name, each in model.named_modules() if hasattr(each, "lora_A")}
    assert {scale for name, scale in scales.items() if "vision_tower" in name} == {3 / 2}
    assert {scale for name, scale in scales.items() if "language_model" in name} == {8 / 4**0.5}


def test_the_vision_tower_is_as_the_others_unless_told(parts):
    assert BOTH.loras(LANGUAGE) == {"vision": LANGUAGE, "language": LANGUAGE}
    assert BOTH.loras(LANGUAGE, VISION) == {"vision": VISION, "language": LANGUAGE}
    with pytest.raises(NothingLearnsError, match=r"--model\.vision_lora"):
        Trainable(language="lora").loras(LANGUAGE, VISION)
    assert Trainable(projector="full").loras(LANGUAGE) == {}


def test_a_role_without_a_match_is_refused_though_the_other_matches(parts):
    model, _ = base(parts)
    with pytest.raises(NoLoraTargetError, match=r"of vision .*--model\.vision_lora"):
        prepare(model, BOTH, BOTH.loras(LANGUAGE, Lora(targets=("down_proj",))), vlm_family(model.config))


def test_settings_survive_their_file():
    loras = BOTH.loras(LANGUAGE, VISION)
    assert loras_from_json(loras_to_json(loras)) == loras
    assert loras_to_json({}) is None


def test_the_table_says_which_role_has_what(parts):
    from rich.console import Console

    model, _ = base(parts)
    loras = BOTH.loras(LANGUAGE, VISION)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(prepare(model, BOTH, loras, vlm_family(model.config)), BOTH, loras))
    lines = {line.split("│")[1].strip(): line for line in console.export_text().splitlines() if line.count("│") > 3}
    assert "DoRA, rank 2, alpha 3, on q_proj, v_proj" in lines["vision"]
    assert "LoRA, rank 4, alpha 8, rsLoRA" in lines["language"]
    assert "frozen" in lines["projector"]


@pytest.mark.parametrize(("dora", "rslora"), list(product([False, True], repeat=2)))
def test_the_merge_is_the_model_with_adapters_on(parts, dora, rslora):
    model, processor = base(parts)
    inputs, family = trial_inputs(processor), vlm_family(model.config)
    untrained = trial_logits(model, inputs)
    loras = BOTH.loras(Lora(rank=4, alpha=8, dora=dora, rslora=rslora), Lora(rank=2, alpha=3, dora=not dora))
    prepare(model, BOTH, loras, family)
    assert torch.allclose(trial_logits(model, inputs), untrained, atol=1e-5)  # adapters begin as nothing
    learn(model)
    trained = trial_logits(model, inputs)
    assert float((trained - untrained).abs().max()) > 0.1
    merged = clean_model(model, loras, family)
    assert float((trial_logits(merged, inputs) - trained).abs().max()) < 1e-5 * float(trained.abs().max()) + 1e-5
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]


@pytest.mark.parametrize("wrong", ["scale", "swapped", "magnitude"])
def test_a_merge_by_other_settings_is_not_proven(parts, wrong):
    model, processor = base(parts)
    inputs, family = trial_inputs(processor), vlm_family(model.config)
    untrained = trial_logits(model, inputs)
    loras = BOTH.loras(Lora(rank=4, alpha=8), Lora(rank=4, alpha=4, dora=True))
    prepare(model, BOTH, loras, family)
    learn(model)
    trained = trial_logits(model, inputs)
    others = {
        "scale": {**loras, "language": Lora(rank=4, alpha=9)},
        "swapped": {"vision": Lora(rank=4, alpha=8, dora=True), "language": Lora(rank=4, alpha=4)},
        "magnitude": {**loras, "vision": Lora(rank=4, alpha=4)},
    }
    merged = [trial_logits(clean_model(model, others[wrong], family), inputs)]
    assert not prove_merge(merged, [trained], [untrained]).holds
