"""The projector: what carries image features into the language model's embedding space.

`linear` is one matrix with bias, the whole of what XrayGPT trains; `mlp` is LLaVA 1.5's two with GELU between.
Hugging Face's Llava (and vLLM's) knows only matrix-activation-matrix, so a trained linear projector is written in that
form at export, exactly: see `as_two_layers`.
"""

# Shapes: V width of vision features, T width of the language model.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class LinearProjector(nn.Linear):
    """One matrix with bias from vision features (V) to language embeddings (T)."""


def as_two_layers(weight_TV: Tensor, bias_T: Tensor) -> tuple[str, dict[str, Tensor]]:
    """Writes y = W x + b as matrix-activation-matrix, the form that Hugging Face's and vLLM's Llava hold.

    With 2V <= T: linear_1 stacks I and -I, the activation is ReLU, linear_2 is [W, -W], and the sum
    W relu(x) - W relu(-x) = W x is exact because one of each pair is zero. Where the language model is narrower, the
    activation is the identity ("linear", which transformers has and vLLM has not): linear_1 = W, linear_2 = I.

    Args:
        weight_TV: The matrix.
        bias_T: The bias.

    Returns:
        The activation's name, and `linear_1.weight`, `linear_1.bias`, `linear_2.weight`, `linear_2.bias`.
    """
    width_T, width_V = weight_TV.shape
    if 2 * width_V > width_T:
        return "linear", {
            "linear_1.weight": weight_TV,
            "linear_1.bias": bias_T,
            "linear_2.weight": torch.eye(width_T, dtype=weight_TV.dtype),
            "linear_2.bias": torch.zeros_like(bias_T),
        }
    first_TV = torch.zeros(width_T, width_V, dtype=weight_TV.dtype)
    first_TV[:width_V] = torch.eye(width_V)
    first_TV[width_V : 2 * width_V] = -torch.eye(width_V)
    second_TT = torch.zeros(width_T, width_T, dtype=weight_TV.dtype)
    second_TT[:, :width_V] = weight_TV
    second_TT[:, width_V : 2 * width_V] = -weight_TV
    return "relu", {
        "linear_1.weight": first_TV,
        "linear_1.bias": torch.zeros_like(bias_T),
        "linear_2.weight": second_TT,
        "linear_2.bias": bias_T,
    }


def as_one_layer(layers: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Reads y = W x + b back out of what `as_two_layers` wrote.

    Args:
        layers: What it wrote.
        prefix: What stands before its names.

    Returns:
        `weight` and `bias`.
    """
    first, second = layers[f"{prefix}linear_1.weight"], layers[f"{prefix}linear_2.weight"]
    width_V = first.shape[1]
    if 2 * width_V > first.shape[0]:
        return {"weight": first, "bias": layers[f"{prefix}linear_1.bias"]}
    return {"weight": second[:, :width_V], "bias": layers[f"{prefix}linear_2.bias"]}


def make_linear(config: Any, generator: torch.Generator) -> LinearProjector:
    """Returns a freshly drawn linear projector for a Llava configuration.

    The weights are normal with deviation V^-1/2, so that projected features start at the scale of the features.
    """
    width_V, width_T = config.vision_config.hidden_size, config.text_config.hidden_size
    projector = LinearProjector(width_V, width_T)
    with torch.no_grad():
        projector.weight.copy_(draw((width_T, width_V), generator) * width_V**-0.5)
        projector.bias.zero_()
    return projector


def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Returns normal numbers, the same whatever data type and device are the default when a trainer builds the model.

    A trainer in bfloat16 would otherwise draw other numbers than the export does, and one on a GPU could not draw at
    all from a generator that lives on the CPU.
    """
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
