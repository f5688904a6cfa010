"""LoRA's layer in one piece: y = W x + s B A x without the copies that the pieces leave behind.

As modules, an adapter makes a tensor of the output's size three times (B A x, its scaling, the sum), again on the way
back, and the gradients of x meet in a fourth. Here each product is added by the matrix multiplication that makes it.
What is computed is the same sum, rounded in another order; whatever is not plain LoRA is left to PEFT.
"""

# Shapes: N positions, I inputs, O outputs, r rank.

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn


class FusedLoraLinear(Linear):
    """PEFT's layer with another way to compute; its parameters, their names and merging stay PEFT's."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Computes in one piece where that is the same, else as PEFT does."""
        parts = None if args or kwargs else self._parts(x)
        if parts is None:
            result: Tensor = super().forward(x, *args, **kwargs)
            return result
        fused: Tensor = _LoraLinear.apply(x, *parts)
        return fused

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor, float] | None:
        """Returns W, its bias, A, B and the scale, or None where there is more to do than the sum."""
        base, active = self.base_layer, self.active_adapters
        if self.disable_adapters or self.merged or len(active) != 1 or type(base) is not nn.Linear:
            return None
        (name,) = active
        if name not in self.lora_A or name in self.lora_variant:
            return None
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):  # shapes alone know no autocasting
            return None
        dropout = self.lora_dropout[name]
        if dropout.training and not isinstance(dropout, nn.Identity):
            return None
        down, up = self.lora_A[name].weight, self.lora_B[name]
        # Under ZeRO-3 a rank holds a part of each, which the hooks around the modules gather.
        divided = hasattr(base.weight, "ds_id") or hasattr(down, "ds_id")
        if divided or up.bias is not None or not x.dtype == down.dtype == up.weight.dtype == base.weight.dtype:
            return None
        return base.weight, base.bias, down, up.weight, float(self.scaling[name])


class _LoraLinear(torch.autograd.Function):
    """y = W x + b + s B A x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, down_rI: Tensor, up_Or: Tensor, scale: float
    ) -> Tensor:
        x_NI = x.reshape(-1, x.shape[-1])
        inner_Nr = x_NI @ down_rI.T
        y_NO = nn.functional.linear(x_NI, weight_OI, bias_O).addmm_(inner_Nr, up_Or.T, alpha=scale)
        ctx.save_for_backward(x_NI, inner_Nr, weight_OI, down_rI, up_Or)
        ctx.scale = scale
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, inner_Nr, weight_OI, down_rI, up_Or = ctx.saved_tensors
        slope_NO = slope.reshape(-1, slope.shape[-1])
        slope_Nr = (slope_NO @ up_Or).mul_(ctx.scale)
        x, weight, bias, down, up = ctx.needs_input_grad[:5]
        x_slope = (slope_NO @ weight_OI).addmm_(slope_Nr, down_rI) if x else None
        return (
            None if x_slope is None else x_slope.view(*slope.shape[:-1], -1),
            slope_NO.T @ x_NI if weight else None,
            slope_NO.sum(0) if bias else None,
            slope_Nr.T @ x_NI if down else None,
            (slope_NO.T @ inner_Nr).mul_(ctx.scale) if up else None,
            None,
        )


def fuse_adapters(model: nn.Module) -> int:
    """Lets the model's plain LoRA layers compute in one piece, in place; returns how many there are."""
    layers = [module for module in model.modules() if type(module) is Linear]
    for layer in layers:
        layer.__class__ = FusedLoraLinear
    return len(layers)
