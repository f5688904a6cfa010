"""What a trainer's precision means in data types."""

from __future__ import annotations

from typing import Any

import torch


def stored_in(precision: Any) -> torch.dtype:
    """Returns the data type that a model is loaded in."""
    # Half precision is made from float32 by the engine itself, which also scales the loss for it.
    return torch.bfloat16 if str(precision).startswith("bf16") else torch.float32


def computed_in(precision: Any) -> torch.dtype:
    """Returns the data type that a model computes in."""
    return torch.float16 if str(precision).startswith("16") else stored_in(precision)
