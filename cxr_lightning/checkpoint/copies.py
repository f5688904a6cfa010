"""Copies of tensors in host memory, so that training may go on while they are written."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCopies:
    """Keeps its memory from one save to the next: to get it anew takes three times as long as the copying."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, tensor: Tensor) -> Tensor:
        """Returns a copy; the one that was returned for this name before is overwritten.

        Args:
            name: What the tensor is.
            tensor: Any tensor, on any device.
        """
        kept = self._kept.get(name)
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._kept[name] = kept
        return kept.copy_(tensor.detach())
