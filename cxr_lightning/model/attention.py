"""Attention for packed rows: each sample of a row attends to itself alone.

Several samples lie one behind another in one row, so no position is padding. A dense mask over the row would compute
what it then hides (row length squared); here each segment is attended to on its own, one SDPA call a segment (SDPA
takes its own FlashAttention kernel on CUDA). It is registered through transformers' attention interface, so the model's
own code stays untouched, and calls without segments fall through to SDPA (generation, padded rows).
"""

# Shapes: B rows (1 when packed), H heads, G key-value heads, L positions of the row, D head width.

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "cxr_segments"


def segment_attention(
    module: nn.Module,
    query_BHLD: Tensor,
    key_BGLD: Tensor,
    value_BGLD: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segment_lengths: list[int] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attends causally within each segment of a packed row.

    Args:
        module: The attention layer that calls.
        query_BHLD: Queries.
        key_BGLD: Keys; G divides H.
        value_BGLD: Values.
        attention_mask: None for packed rows.
        dropout: Dropout probability of attention weights.
        scaling: Factor on the scores.
        segment_lengths: Lengths of the row's samples in order, of sum L; None for rows that are not packed.
        kwargs: What transformers passes besides; handed on to SDPA where rows are not packed.

    Returns:
        The attended values, of shape (B, L, H, D), and None for the weights.
    """
    if segment_lengths is None or attention_mask is not None:
        return sdpa_attention_forward(
            module, query_BHLD, key_BGLD, value_BGLD, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    repeat = query_BHLD.shape[1] // key_BGLD.shape[1]
    if repeat > 1:
        key_BGLD, value_BGLD = key_BGLD.repeat_interleave(repeat, 1), value_BGLD.repeat_interleave(repeat, 1)
    pieces = [
        nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scaling, is_causal=True)
        for query, key, value in zip(
            torch.split(query_BHLD, segment_lengths, 2),
            torch.split(key_BGLD, segment_lengths, 2),
            torch.split(value_BGLD, segment_lengths, 2),
            strict=True,
        )
    ]
    return torch.cat(pieces, 2).transpose(1, 2), None


def segment_mask(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """Builds no mask for rows without padding, and SDPA's for the others."""
    if attention_mask is None:
        return None
    return sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


def use_segments(language_model: Any) -> None:
    """Lets a Hugging Face language model attend by segments when `segment_lengths` is given to its forward."""
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, segment_mask)
    language_model.set_attn_implementation(NAME)
