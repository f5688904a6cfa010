"""Hidden states to token losses through the output matrix, some hundred positions at a time.

The logits of a step are its largest tensor (positions x vocabulary, in float32), needed twice: for the loss, and for
its gradient. Both are computed from a chunk while it is there, so no logits are kept for the backward pass and none are
computed again; what is kept is the gradient of the hidden states. (The order of work of Liger's fused linear
cross-entropy, Hsu et al. 2024, in plain PyTorch.)
"""

# Shapes: S supervised positions, C positions of a chunk, D width, V vocabulary.

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

log = logging.getLogger(__name__)

_LOGITS = 2**25
"""Logits computed at once: 128 MB in float32, and as much for their gradient."""


class _ChunkedLosses(torch.autograd.Function):
    """Negative log likelihood of each target; gradients are made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_S: Tensor, grad: bool
    ) -> tuple[Tensor, Tensor]:
        losses_S = torch.empty(len(targets_S), dtype=torch.float32, device=hidden_SD.device)
        wanted = [grad and each is not None and each.requires_grad for each in (hidden_SD, weight_VD, bias_V)]
        hidden_grad = torch.empty_like(hidden_SD) if wanted[0] else None
        # Summed in float32 over chunks, whatever the weights are kept in.
        weight_grad = torch.zeros_like(weight_VD, dtype=torch.float32) if wanted[1] else None
        bias_grad = torch.zeros_like(bias_V, dtype=torch.float32) if wanted[2] and bias_V is not None else None
        for chunk in _chunks(len(targets_S), len(weight_VD)):
            logits_CV = linear(hidden_SD[chunk], weight_VD, bias_V).float()
            normal_C1 = logits_CV.logsumexp(1, keepdim=True)
            targets_C1 = targets_S[chunk, None]
            losses_S[chunk] = (normal_C1 - logits_CV.gather(1, targets_C1)).squeeze(1)
            if not any(wanted):
                continue
            slope_CV = logits_CV.sub_(normal_C1).exp_()  # softmax, less one at the target
            slope_CV.scatter_add_(1, targets_C1, slope_CV.new_full(targets_C1.shape, -1.0))
            slope_CV = slope_CV.to(weight_VD.dtype)
            if hidden_grad is not None:
                hidden_grad[chunk] = slope_CV @ weight_VD
            if weight_grad is not None:
                weight_grad += slope_CV.T @ hidden_SD[chunk]
            if bias_grad is not None:
                bias_grad += slope_CV.sum(0, dtype=torch.float32)
        ctx.grads = hidden_grad, weight_grad, bias_grad
        ctx.dtypes = hidden_SD.dtype, weight_VD.dtype, None if bias_V is None else bias_V.dtype
        ctx.mark_non_differentiable(losses_S)
        return losses_S.sum(), losses_S

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        pairs = zip(ctx.grads, ctx.dtypes, strict=True)
        return (*(None if grad is None else (grad * slope).to(dtype) for grad, dtype in pairs), None, None)


def losses_in_chunks(
    hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_S: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the summed negative log likelihood, and that of each target without gradients, both float32.

    Args:
        hidden_SD: Last hidden states.
        weight_VD: The output matrix.
        bias_V: Its bias, or None.
        targets_S: The tokens that follow.
    """
    fused = _liger() if hidden_SD.is_cuda and len(targets_S) and torch.is_grad_enabled() else None
    if fused is not None:
        return fused(hidden_SD, weight_VD, bias_V, targets_S)
    return _ours(hidden_SD, weight_VD, bias_V, targets_S)


def _ours(hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_S: Tensor) -> tuple[Tensor, Tensor]:
    losses: tuple[Tensor, Tensor] = _ChunkedLosses.apply(
        hidden_SD, weight_VD, bias_V, targets_S, torch.is_grad_enabled()
    )
    return losses


def losses_through(head: nn.Linear, hidden_SD: Tensor, targets_S: Tensor) -> tuple[Tensor, Tensor]:
    """Returns `losses_in_chunks` of an output matrix, called as a module.

    Under ZeRO-3 a rank holds a part of the matrix; the engine's hooks around the module's call gather it.
    """
    module: Any = head
    module.forward = lambda hidden: losses_in_chunks(hidden, head.weight, head.bias, targets_S)
    try:
        losses: tuple[Tensor, Tensor] = module(hidden_SD)
    finally:
        del module.forward  # the class's own shows again
    return losses


def _chunks(positions: int, vocabulary: int) -> list[slice]:
    size = max(1, _LOGITS // vocabulary)
    return [slice(first, min(first + size, positions)) for first in range(0, positions, size)]


@lru_cache(maxsize=1)
def _liger() -> Callable[[Tensor, Tensor, Tensor | None, Tensor], tuple[Tensor, Tensor]] | None:
    """Returns Liger's Triton kernel, where it is installed and gives our losses and gradients on a small example.

    On an H100 it gave our losses in an eighth of our memory and 1.5 times our time; on the user's GPU it has to show
    that it does the same.
    """
    try:
        from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss
    except ImportError:
        return None
    kernel = LigerFusedLinearCrossEntropyLoss(reduction="none")

    def fused(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor]:
        each_S = kernel(weight, hidden, targets, bias)
        return each_S.sum(), each_S.detach()

    try:
        same = _same(fused)
    except Exception:  # whatever a kernel of another version raises
        log.debug("Liger's kernel failed its trial", exc_info=True)
        same = False
    if not same:
        log.warning("The installed liger-kernel does not give our losses and gradients here; it is not used.")
    return fused if same else None


def _same(fused: Callable[..., tuple[Tensor, Tensor]], device: str = "cuda") -> bool:
    generator = torch.Generator().manual_seed(0)
    hidden_SD, weight_VD = (torch.randn(size, 64, generator=generator, device="cpu") for size in (48, 128))
    targets_S = torch.randint(0, 128, (48,), generator=generator, device="cpu").to(device)
    found = []
    for way in (fused, _ours):
        hidden, weight = (each.to(device, copy=True).requires_grad_() for each in (hidden_SD, weight_VD))
        total, each_S = way(hidden, weight, None, targets_S)
        found.append((each_S.float(), *torch.autograd.grad(total * 0.5, (hidden, weight))))
    return all(torch.allclose(one, other, rtol=1e-2, atol=1e-3) for one, other in zip(*found, strict=True))
