"""Attention for packed rows: each sample of a row attends to itself alone.

Several samples lie one behind another in one row, so no position is padding. A dense mask over the row would compute
what it then hides (row length squared); here each segment is attended to on its own: one SDPA call a segment, or on
CUDA in half precision one of FlashAttention for all. It is registered through transformers' attention interface, so
the model's own code stays untouched, and calls without segments fall through to SDPA (generation, padded rows).
"""

# Shapes: B rows (1 when packed), H heads, G key-value heads, L positions of the row, D head width.

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from inspect import signature
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

log = logging.getLogger(__name__)

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
        with _of_any_length(query_BHLD.device):
            return sdpa_attention_forward(
                module, query_BHLD, key_BGLD, value_BGLD, attention_mask, dropout=dropout, scaling=scaling, **kwargs
            )
    kernel = None if dropout else _varlen(query_BHLD.device, query_BHLD.dtype, query_BHLD.shape[-1])
    if kernel is not None:
        rows_LHD = (each.transpose(1, 2).squeeze(0) for each in (query_BHLD, key_BGLD, value_BGLD))
        return kernel(*rows_LHD, tuple(segment_lengths), scaling)[None], None
    grouped = query_BHLD.shape[1] != key_BGLD.shape[1]
    if grouped and query_BHLD.is_cuda:  # where not every kernel takes groups, and the one that is left is slow
        repeat = query_BHLD.shape[1] // key_BGLD.shape[1]
        key_BGLD, value_BGLD = key_BGLD.repeat_interleave(repeat, 1), value_BGLD.repeat_interleave(repeat, 1)
        grouped = False
    with _of_any_length(query_BHLD.device):
        pieces_BLHD = [
            nn.functional.scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=grouped
            ).transpose(1, 2)
            for query, key, value in zip(
                torch.split(query_BHLD, segment_lengths, 2),
                torch.split(key_BGLD, segment_lengths, 2),
                torch.split(value_BGLD, segment_lengths, 2),
                strict=True,
            )
        ]
    return torch.cat(pieces_BLHD, 1), None


def _of_any_length(device: torch.device) -> AbstractContextManager[None]:
    """Keeps cuDNN out of SDPA: it plans every length anew, 40 ms each, which was two thirds of a step on an H100."""
    if device.type != "cuda":
        return nullcontext()
    kept: AbstractContextManager[None] = sdpa_kernel(
        [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    )
    return kept


@lru_cache(maxsize=8)
def _varlen(device: torch.device, dtype: torch.dtype, width: int) -> Callable[..., Tensor] | None:
    """Returns FlashAttention for segments in one call, where PyTorch or the package `flash_attn` has it for a device.

    PyTorch's was run on an H100 by us, `flash_attn`'s never. So each has to show on the user's GPU that it gives SDPA's
    values and gradients; where it does not, segments are attended to one by one.
    """
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return None
    for kernel in (_torch_varlen, _flash_varlen):
        try:
            if _agrees(kernel, device, dtype, width):
                return kernel
            log.warning("%s does not give SDPA's values here; it is not used.", kernel.__name__.strip("_"))
        except Exception:  # not installed, or whatever a kernel of another version or for another GPU raises
            log.debug("%s failed its trial", kernel.__name__, exc_info=True)
    return None


def _torch_varlen(
    query_LHD: Tensor, key_LGD: Tensor, value_LGD: Tensor, lengths: tuple[int, ...], scale: Any
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    ends, most = _ends(lengths, query_LHD.device), max(lengths)
    named: dict[str, Any] = {"scale": scale, "window_size": (-1, 0)}
    if "enable_gqa" in signature(varlen_attn).parameters:  # PyTorch 2.11 takes grouped heads without a word
        named["enable_gqa"] = query_LHD.shape[1] != key_LGD.shape[1]
    attended: Any = varlen_attn(query_LHD, key_LGD, value_LGD, ends, ends, most, most, **named)
    return attended


def _flash_varlen(
    query_LHD: Tensor, key_LGD: Tensor, value_LGD: Tensor, lengths: tuple[int, ...], scale: Any
) -> Tensor:
    from flash_attn import flash_attn_varlen_func

    ends, most = _ends(lengths, query_LHD.device), max(lengths)
    attended: Tensor = flash_attn_varlen_func(
        query_LHD, key_LGD, value_LGD, ends, ends, most, most, softmax_scale=scale, causal=True
    )
    return attended


@lru_cache(maxsize=4)
def _ends(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns where segments begin, and the last ends; once a row, not once a layer: a copy makes a GPU wait."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def _agrees(kernel: Callable[..., Tensor], device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether a kernel gives, on two short segments with grouped heads, what SDPA gives on each of them."""
    lengths, generator = (40, 24), torch.Generator().manual_seed(0)
    shapes = ((64, 4, width), (64, 2, width), (64, 2, width))
    # Wherever the first row comes by: under inference_mode, where Lightning makes all tensors on the GPU, or in a layer
    # whose saved tensors checkpointing counts.
    alone_here = saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), alone_here:
        made = [torch.randn(shape, generator=generator, device="cpu").to(device, dtype) for shape in shapes]
        made = [each.requires_grad_() for each in made]
        ours = kernel(*made, lengths, None)
        grouped = [made[0], *(each.repeat_interleave(2, 1) for each in made[1:])]
        pieces = zip(*(torch.split(each.transpose(0, 1)[None], list(lengths), 2) for each in grouped), strict=True)
        attend = nn.functional.scaled_dot_product_attention
        alone = [attend(query, key, value, is_causal=True) for query, key, value in pieces]
        theirs = torch.cat(alone, 2)[0].transpose(0, 1)
        slopes = [torch.autograd.grad(each.float().square().sum(), made) for each in (ours, theirs)]
    pairs = [(ours.detach(), theirs.detach()), *zip(*slopes, strict=True)]
    return all(bool((one - other).float().norm() < 0.05 * other.float().norm()) for one, other in pairs)


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
    if has_windows(language_model.config):
        return False  # segments are attended to whole, and these layers look at the latest tokens alone
    before = language_model.config._attn_implementation
    language_model.set_attn_implementation(NAME)
    with _evaluating(model):
        apart = _segments_are_apart(model)
    if apart:
        return True
    language_model.set_attn_implementation(before)
    return False


def has_windows(config: Any) -> bool:
    """Whether some layers attend to less than all that came before (Gemma 3, Phi-3, Mistral 0.1)."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return any(kind != "full_attention" for kind in kinds)
    return getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)


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
