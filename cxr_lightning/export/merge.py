"""Adapters into weights: W + s B A in float32, rounded once, and a model without a trace of training around it.

With DoRA each row of the sum is brought to the length that was learned (Liu et al. 2024, equation 5).
"""

# Shapes: O outputs, I inputs, R rank.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cxr_lightning.model.families import VlmFamily, role_of
from cxr_lightning.model.lora import ADAPTER, Lora, Loras
from cxr_lightning.model.projector import LinearProjector, as_two_layers

_PROJECTOR = "model.multi_modal_projector."


def merged_state(model: Any, loras: Loras, family: VlmFamily) -> dict[str, Tensor]:
    """Returns a model's weights with every adapter merged, named as in a model that never had any.

    Args:
        model: The model, adapters in place.
        loras: The adapters' settings by role.
        family: Which weights are of which role.
    """
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    merged: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".lora_" in name:
            continue
        layer = name.removesuffix(".base_layer.weight")
        if layer != name:
            tensor = _merge(tensor, state, layer, loras[role_of(name, family)])
        merged[name.replace(".base_layer.", ".")] = tensor
    return merged


def _merge(weight_OI: Tensor, state: Mapping[str, Tensor], layer: str, lora: Lora) -> Tensor:
    down_RI, up_OR = (state[f"{layer}.lora_{part}.{ADAPTER}.weight"].float() for part in "AB")
    sum_OI = weight_OI.float() + lora.scale * (up_OR @ down_RI)
    if lora.dora:
        length_O = state[f"{layer}.lora_magnitude_vector.{ADAPTER}.weight"].float()
        sum_OI *= (length_O / torch.linalg.norm(sum_OI, dim=1))[:, None]
    return sum_OI.to(weight_OI.dtype)


def clean_model(model: Any, loras: Loras, family: VlmFamily) -> Any:
    """Returns the merged model as a plain Hugging Face model, a linear projector in the two layers that servers know.

    Args:
        model: The trained model, adapters in place.
        loras: The adapters' settings by role.
        family: Which weights are of which role.
    """
    state, config = merged_state(model, loras, family), model.config
    projector = getattr(getattr(model, "model", None), "multi_modal_projector", None)
    if isinstance(projector, LinearProjector):
        activation, layers = as_two_layers(state.pop(_PROJECTOR + "weight"), state.pop(_PROJECTOR + "bias"))
        state |= {_PROJECTOR + name: tensor for name, tensor in layers.items()}
        config.projector_hidden_act, config.multimodal_projector_bias = activation, True
    _forget_training_attention(config)
    with torch.device("meta"):
        clean = type(model)(config)
    # Buffers that are not stored (rotary frequencies) are computed, not loaded: take them from the trained model.
    missing = clean.load_state_dict(state, strict=False, assign=True)
    assert not missing.unexpected_keys, missing.unexpected_keys
    tied = set(clean.all_tied_weights_keys or ())
    assert set(missing.missing_keys) <= tied, missing.missing_keys
    for name, buffer in model.named_buffers():
        owner, _, last = name.replace(".base_layer.", ".").rpartition(".")
        clean.get_submodule(owner)._buffers[last] = buffer
    clean.tie_weights()
    clean.generation_config = model.generation_config
    return clean.eval()


def _forget_training_attention(config: Any) -> None:
    """Names an attention that every transformers has; ours is registered only where this package is imported."""
    for part in (config, getattr(config, "text_config", None)):
        if part is not None:
            part._attn_implementation = "sdpa"
