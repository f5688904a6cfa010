"""Learned weights say on which role their adapters are, and are put onto no others."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from cxr_lightning.checkpoint import weights
from cxr_lightning.model.lora import Lora, loras_to_json

SETTINGS = loras_to_json({"vision": Lora(rank=2, dora=True), "language": Lora(rank=4)})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "trainable.safetensors"
    weights.save(path, {"a.lora_A.default.weight": torch.ones(2, 3)}, base="abc", lora=SETTINGS)
    return path


@pytest.mark.quick
def test_settings_lie_with_the_weights_by_role(saved):
    assert weights.lora_of(saved) == SETTINGS
    weights.require_lora(saved, SETTINGS)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"vision": Lora(rank=2), "language": Lora(rank=4)}, r"vision.*dora=True, now it is dora=False.*vision_lora"),
        ({"vision": Lora(rank=2, dora=True), "language": Lora(rank=8)}, r"language.*rank=4.*rank=8.*--model\.lora"),
        ({"language": Lora(rank=4)}, r"vision, which has none now.*--model\.trainable\.vision lora"),
        ({}, "which has none now"),
    ],
)
def test_other_settings_are_refused_by_role(saved, now, told):
    with pytest.raises(weights.OtherLoraError, match=told):
        weights.require_lora(saved, loras_to_json(now))


@pytest.mark.quick
def test_a_role_may_gain_adapters(tmp_path):
    path = tmp_path / "trainable.safetensors"
    weights.save(path, {"a": torch.ones(1)}, base="abc", lora=loras_to_json({"language": Lora(rank=4)}))
    weights.require_lora(path, loras_to_json({"language": Lora(rank=4), "vision": Lora(rank=9)}))


@pytest.mark.quick
def test_settings_of_an_earlier_version_are_refused_not_misread(tmp_path):
    path = tmp_path / "trainable.safetensors"
    about = {"base": "abc", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": [], "rslora": False}}
    save_file({"a.lora_A.default.weight": torch.ones(2, 3)}, path, metadata={"about": json.dumps(about)})
    with pytest.raises(weights.OtherLoraError, match="earlier version"):
        weights.require_lora(path, SETTINGS)


@pytest.mark.quick
def test_weights_beside_adapters_have_the_names_they_have_without():
    own, adapters = weights.divide({"q.base_layer.weight": torch.ones(1), "q.lora_B.default.weight": torch.ones(2)})
    assert list(own) == ["q.weight"]
    assert list(adapters) == ["q.lora_B.default.weight"]
