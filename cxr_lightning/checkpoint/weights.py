"""Learned weights as safetensors: adapters, projector, and whatever else differs from the frozen base.

The file's metadata carries the fingerprint of that base; putting the weights onto another one is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


class OtherBaseError(ValueError):
    """Weights were learned on another base model than the one at hand."""


class UnknownWeightError(ValueError):
    """Weights do not fit the model's parameters."""


def save(path: Path, tensors: Mapping[str, Tensor], *, base: str) -> None:
    """Writes learned weights, whole or not at all.

    Args:
        path: The file.
        tensors: Weights by the parameter's name.
        base: Fingerprint of the frozen base.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"base": base},
    )
    temporary.replace(path)


def read(path: Path, *, base: str) -> dict[str, Tensor]:
    """Reads learned weights.

    Args:
        path: The file.
        base: Fingerprint of the base they shall be put onto.

    Raises:
        OtherBaseError: If they were learned on another one.
    """
    with safe_open(path, framework="pt") as file:
        theirs = (file.metadata() or {}).get("base", "")
        if theirs != base:
            raise OtherBaseError(
                f"{path} was learned on another base model (fingerprint {theirs or 'none'}, here {base}). "
                "Remedy: name the vision tower and language model the run was trained with; its run.json lists them."
            )
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def put(model: nn.Module, tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Copies learned weights into a model's parameters.

    Raises:
        UnknownWeightError: If a weight has no parameter of its name and shape.
    """
    parameters: dict[str, Any] = dict(model.named_parameters())
    for name, tensor in tensors.items():
        if name not in parameters or parameters[name].shape != tensor.shape:
            found = f"of shape {tuple(parameters[name].shape)}" if name in parameters else "missing"
            raise UnknownWeightError(
                f"{origin}: weight {name} of shape {tuple(tensor.shape)} is {found} in the model. "
                "Remedy: use the same projector and LoRA settings as the run it comes from."
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)


def names(path: Path) -> Iterable[str]:
    """Returns the names of the weights in a file."""
    with safe_open(path, framework="pt") as file:
        return list(file.keys())
