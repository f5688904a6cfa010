"""Attention for packed rows: each sample of a row attends to itself alone.

Several samples lie one behind another in one row, so no position is padding. A dense mask over the row would compute
what it then hides (row length squared); here each segment is attended to on its own, one SDPA call a segment (SDPA
takes its own FlashAttention kernel on CUDA). It is registered through transformers' attention interface, so the model's
own code stays untouched, and calls without segments fall through to SDPA (generation, padded rows).
"""

# Shapes: B rows (1 when packed), H heads, G key-value heads, L positions of the row, D head width.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


def use_segments(model: Any) -> bool:
    """Lets a vision-language model's text part attend by segments, if its samples then do not see each other.

    Families whose layers mix positions outside attention (convolutions, state spaces), or attend by a function of their
    own, would leak from one sample of a packed row into the next without a word; so it is tried, not assumed.

    Args:
        model: The model; `segment_lengths` may be given to its forward afterwards.

    Returns:
        Whether rows may be packed. If not, the model attends as before.
    """
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, segment_mask)
    language_model = getattr(model.model, "language_model", model.model)  # of a language model alone, its decoder
    before = language_model.config._attn_implementation
    language_model.set_attn_implementation(NAME)
    with _evaluating(model):
        apart = _segments_are_apart(model)
    if apart:
        return True
    language_model.set_attn_implementation(before)
    return False


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Switches dropout off, of adapters too: its noise would look as if one sample noticed the other."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@torch.inference_mode()
def _segments_are_apart(model: Any) -> bool:
    """Changes the first sample of a row and looks whether the second one notices, and whether it is as it is alone."""
    ids_1L = torch.arange(3, 15, device=model.device)[None]  # any twelve tokens: five of one sample, seven of the next
    positions_1L = torch.cat([torch.arange(5), torch.arange(7)])[None].to(model.device)
    packed = {"position_ids": positions_1L, "segment_lengths": [5, 7], "use_cache": False}
    other_1L = ids_1L.clone()
    other_1L[0, :5] += 20
    try:
        first, second = (model.model(input_ids=ids, **packed).last_hidden_state[0, 5:] for ids in (ids_1L, other_1L))
    except TypeError:  # a forward that does not hand on what it does not know
        return False
    alone = model.model(input_ids=ids_1L[:, 5:], use_cache=False).last_hidden_state[0]
    tolerance = 1e-3 if first.dtype == torch.float32 else 0.1
    close = torch.allclose(first.float(), alone.float(), atol=tolerance * float(alone.float().abs().max()))
    return torch.equal(first, second) and close
