"""Adapters into weights: W + s B A in float32, rounded once, and a model without a trace of training around it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cxr_lightning.model.lora import ADAPTER, Lora
from cxr_lightning.model.projector import LinearProjector, as_two_layers

_LORA_A = f".lora_A.{ADAPTER}.weight"
_PROJECTOR = "model.multi_modal_projector."


def merged_state(model: Any, lora: Lora | None) -> dict[str, Tensor]:
    """Returns a model's weights with every adapter merged, named as in a model that never had any.

    Args:
        model: The model, adapters in place.
        lora: Settings of the adapters, or None where there are none.
    """
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    merged: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".lora_" in name:
            continue
        layer = name.removesuffix(".base_layer.weight")
        if layer != name:
            assert lora is not None, "adapters without settings"
            update = state[f"{layer}.lora_B.{ADAPTER}.weight"].float() @ state[layer + _LORA_A].float()
            tensor = (tensor.float() + lora.scale * update).to(tensor.dtype)
        merged[name.replace(".base_layer.", ".")] = tensor
    return merged


def clean_model(model: Any, lora: Lora | None) -> Any:
    """Returns the merged model as a plain Hugging Face model, a linear projector in the two layers that servers know.

    Args:
        model: The trained model, adapters in place.
        lora: Settings of the adapters, or None where there are none.
    """
    state, config = merged_state(model, lora), model.config
    projector = getattr(model.model, "multi_modal_projector", None)
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
