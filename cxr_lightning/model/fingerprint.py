"""A fingerprint of the frozen base, so that learned weights are never put onto another one unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

_SAMPLE = 4096
"""Values read of each tensor: a 7B model takes well under a second, and any retraining changes all of them."""


def fingerprint(named_tensors: Iterable[tuple[str, Tensor]], *, read: Callable[[Tensor], object] | None = None) -> str:
    """Returns a digest of the tensors' names, shapes and evenly spaced values, the same for every data type of storage.

    Values are read as bfloat16, the coarsest type in use, so that a base loaded in float32 and in bfloat16 agree.

    Args:
        named_tensors: Name and tensor of each frozen parameter; the order does not matter.
        read: Told each tensor that was read, for whoever wants its memory back.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(named_tensors, key=lambda item: item[0]):
        flat = tensor.detach().reshape(-1)
        chosen = flat[:: max(1, flat.numel() // _SAMPLE)][:_SAMPLE].to(torch.bfloat16).cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(chosen.view(torch.int16).numpy().tobytes())
        if read is not None:
            read(tensor)
    return digest.hexdigest()[:32]
