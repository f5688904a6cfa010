"""How the layers are computed: what is kept for the backward pass, and what is compiled. Neither changes a result.

Activation checkpointing (Chen et al. 2016) keeps a layer's input and computes the rest again on the way back: a third
more work, and memory for one layer's activations instead of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from cxr_lightning.model.families import Role, VlmFamily, role_of


class NothingToComputeSoError(ValueError):
    """A role has no layers that could be checkpointed or compiled."""


@dataclass(frozen=True)
class Compute:
    """How layers are computed.

    Attributes:
        activation_checkpointing: Roles (`language`, `vision`) whose layers are computed again on the way back.
        compile: Compile the layers' multilayer perceptrons with torch.compile, three quarters of the work; attention
            stays as it is, for packed rows give it other lengths each step. Not under ZeRO stage 3.
    """

    activation_checkpointing: tuple[Role, ...] = ()
    compile: bool = False


def set_up(model: nn.Module, compute: Compute, family: VlmFamily) -> None:
    """Prepares a model's layers, in place.

    Args:
        model: The model, with what learns.
        compute: The choice.
        family: Its row in the table of families.

    Raises:
        NothingToComputeSoError: If a role that is named has no layers known to transformers as such.
    """
    for role in compute.activation_checkpointing:
        layers = [layer for name, layer in _layers(model) if role_of(f"{name}.", family) == role]
        if not layers:
            raise NothingToComputeSoError(
                f"--model.compute.activation_checkpointing: {role} has no layers that transformers can checkpoint. "
                "Remedy: leave it out."
            )
        for layer in layers:
            layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = partial(_compute_again, layer)
    if compute.compile:
        perceptrons = [module for name, module in model.named_modules() if name.endswith(".mlp")]
        if not perceptrons:
            raise NothingToComputeSoError(
                "--model.compute.compile: no layer of this model has a module called mlp. Remedy: set it to false."
            )
        for module in perceptrons:
            module.compile(dynamic=True)  # rows differ in length


def _compute_again(layer: Any, run: Callable[..., Any], *inputs: Any) -> Any:
    """Computes a layer now and again on the way back; a frozen one both times as in evaluation (OPT has dropout)."""
    frozen = not any(parameter.requires_grad for parameter in layer.parameters())

    def once(*inputs: Any) -> Any:
        layer.training = not frozen
        try:
            return run(*inputs)
        finally:
            layer.training = True

    # A layer's shape looks different to the check of the second pass where ZeRO-3 holds a part of its weights.
    return checkpoint(once, *inputs, use_reentrant=False, determinism_check="none")


def let_checkpoint(model: nn.Module) -> None:
    """Marks checkpointed layers as training, and only themselves: what is frozen inside stays in evaluation mode.

    transformers checkpoints in training mode alone, and a frozen language model through which gradients flow to the
    projector is not in it.
    """
    for _, layer in _layers(model):
        if layer.gradient_checkpointing:
            layer.training = True


def _layers(model: nn.Module) -> list[tuple[str, Any]]:
    """Returns the outermost layers by name: Swin's stages are layers of layers."""
    found: list[tuple[str, Any]] = []
    for name, module in model.named_modules():
        inside = bool(found) and name.startswith(f"{found[-1][0]}.")
        if isinstance(module, GradientCheckpointingLayer) and not inside:
            found.append((name, module))
    return found
