"""Stand-ins for attention kernels, which on tensors without content would compute every score as a matrix.

FlashAttention (Dao et al. 2022) and its kin keep queries, keys, values, the result and a number a row for the backward
pass, and never the scores. The kernels that a GPU or CPU would choose are not offered for the device `meta`, so these
allocate what those would.
"""

# Shapes: B rows, H heads, G key-value heads, L positions, D head width.

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from cxr_lightning.model.attention import segment_attention, segment_mask


class _Attended(torch.autograd.Function):
    """Allocates a fused kernel's result, and in the backward pass its gradients."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        result = _like(query)
        normal = torch.empty(query.shape[:-1], dtype=torch.float32, device=query.device)
        ctx.save_for_backward(query, key, value, bias, result, normal)
        return result

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return (*(_like(each) for each in (query, key, value)), None)


def _like(each: Tensor) -> Tensor:
    """Allocates as kernels lay it out: heads inside of positions, so that no copy joins the heads afterwards."""
    if each.dim() == 3:
        return torch.empty(each.shape, dtype=each.dtype, device=each.device)
    rows, heads, positions, width = each.shape
    return torch.empty((rows, positions, heads, width), dtype=each.dtype, device=each.device).transpose(1, 2)


class _Kept(torch.autograd.Function):
    """A matrix product as DeepSpeed makes it under ZeRO-3: its input is kept, also where the matrix is frozen."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        product = states.matmul(weight.t())
        ctx.save_for_backward(states, weight, bias)
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            slope.matmul(weight) if wanted[0] else None,
            slope.flatten(0, -2).t().matmul(states.flatten(0, -2)) if wanted[1] else None,
            slope.flatten(0, -2).sum(0) if bias is not None and wanted[2] else None,
        )


@contextmanager
def stand_ins(*, divided: bool) -> Iterator[None]:
    """Lets attention allocate what a fused kernel does, and linear layers what they do under ZeRO-3.

    The functions are exchanged in `torch.nn.functional` itself, as DeepSpeed does it: what is computed again on the way
    back has to find them, too.

    Args:
        divided: Whether parameters are divided among ranks.
    """
    attend: Any = functional.scaled_dot_product_attention
    multiply: Any = functional.linear

    def attended(query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not query.is_meta:
            return attend(query, key, value, attn_mask, *args, **kwargs)
        # What is to be hidden becomes numbers to be added, anew in every layer.
        bias = None if attn_mask is None else torch.empty(attn_mask.shape, dtype=query.dtype, device=query.device)
        return _Attended.apply(query, key, value, bias)

    def kept(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        return _Kept.apply(states, weight, bias) if states.is_meta else multiply(states, weight, bias)

    functional.scaled_dot_product_attention = attended
    if divided:
        functional.linear = cast(Any, kept)
    try:
        yield
    finally:
        functional.scaled_dot_product_attention, functional.linear = attend, multiply


def _segments(device: str, half: bool) -> Callable[..., tuple[Tensor, None]]:
    """Returns attention by segments as it is chosen on a device: FlashAttention for all in one call on a GPU."""

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        if device == "cuda" and half and kwargs.get("segment_lengths") is not None and attention_mask is None:
            rows_LHD = (each.transpose(1, 2).squeeze(0) for each in (query, key, value))
            result: Tensor = _Attended.apply(*rows_LHD, None)
            return result[None], None
        return segment_attention(module, query, key, value, attention_mask, **kwargs)

    return attend


def use_stand_ins(model: Any, *, device: str, half: bool) -> None:
    """Lets a model's text part attend as training's does, without a kernel.

    Args:
        model: The model, in place.
        device: `cuda` or `cpu`, where it shall run.
        half: Whether it computes in 16 bits.
    """
    name = f"cxr_shapes_{device}_{'half' if half else 'single'}"
    AttentionInterface.register(name, _segments(device, half))
    AttentionMaskInterface.register(name, segment_mask)
    getattr(model.model, "language_model", model.model).set_attn_implementation(name)
