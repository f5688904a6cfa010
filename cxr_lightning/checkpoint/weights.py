"""Learned weights as safetensors: adapters, projector, and whatever else differs from the frozen base.

The file's metadata carries the fingerprint of that base; putting the weights onto another one is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

_ABOUT = "about"


class OtherBaseError(ValueError):
    """Weights were learned on another base model than the one at hand."""


class UnknownWeightError(ValueError):
    """Weights do not fit the model's parameters."""


class OtherLoraError(ValueError):
    """Adapters were learned with other settings than those they shall be used with."""


def save(path: Path, tensors: Mapping[str, Tensor], *, base: str, lora: Mapping[str, Any] | None = None) -> None:
    """Writes learned weights, whole or not at all.

    Args:
        path: The file.
        tensors: Weights by the parameter's name.
        base: Fingerprint of the frozen base.
        lora: Settings of the adapters among them, by role: without its scale a merged adapter is another one.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        temporary,
        # One entry: safetensors writes several in an order of chance, and equal checkpoints shall be equal bytes.
        metadata={_ABOUT: json.dumps({"base": base, "lora": lora}, sort_keys=True)},
    )
    temporary.replace(path)


def lora_of(path: Path) -> dict[str, Any] | None:
    """Returns the settings of the adapters in a file by role, or None where it holds none.

    Raises:
        OtherLoraError: If an earlier version wrote them, which did not say of which role they are.
    """
    settings: dict[str, Any] | None = _about(path).get("lora")
    if settings is not None and "rank" in settings:
        raise OtherLoraError(
            f"{path} was written by an earlier version, which kept one setting of adapters for all roles. "
            "Remedy: export that run with the version that made it, and begin with the export as --model.source.base."
        )
    return settings


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        about: dict[str, Any] = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
    return about


def names(path: Path) -> list[str]:
    """Returns the names of the weights in a file."""
    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def require_lora(path: Path, settings: Mapping[str, Any] | None) -> None:
    """Compares the adapters in a file with the settings they shall be used with.

    Roles that had no adapter in the file may have one now.

    Raises:
        OtherLoraError: If rank, scale or places differ, or a role that had adapters has none now.
    """
    for role, theirs in (lora_of(path) or {}).items():
        ours = (settings or {}).get(role)
        if ours is None:
            raise OtherLoraError(
                f"{path} holds adapters of {role}, which has none now. Remedy: set --model.trainable.{role} lora, as "
                "they were learned; or export that run and begin with the export as --model.source.base."
            )
        odd = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
        if odd:
            option = "--model.vision_lora.*" if role == "vision" else "--model.lora.*"
            raise OtherLoraError(
                f"{path} holds adapters of {role} learned with {_told(theirs, odd)}, now it is {_told(ours, odd)}. "
                f"Remedy: set {option} as they were learned."
            )


def _told(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings.get(name)}" for name in names)


def read(path: Path, *, base: str) -> dict[str, Tensor]:
    """Reads learned weights.

    Args:
        path: The file.
        base: Fingerprint of the base they shall be put onto.

    Raises:
        OtherBaseError: If they were learned on another one.
    """
    theirs = _about(path).get("base", "")
    if theirs != base:
        raise OtherBaseError(
            f"{path} was learned on another base model (fingerprint {theirs or 'none'}, here {base}). "
            "Remedy: name the vision tower and language model the run was trained with; its run.json lists them."
        )
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def read_one(path: Path, name: str) -> Tensor:
    """Reads one learned weight."""
    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


def put(model: nn.Module, tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Copies learned weights into a model's parameters.

    Raises:
        UnknownWeightError: If a weight has no parameter of its name and shape.
    """
    parameters: dict[str, Any] = dict(model.named_parameters())
    require_places(parameters, tensors, origin=origin)
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)


def require_places(parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Refuses learned weights that a model has no place for.

    Raises:
        UnknownWeightError: If a weight has no parameter of its name and shape.
    """
    for name, tensor in tensors.items():
        if name not in parameters or parameters[name].shape != tensor.shape:
            found = f"of shape {tuple(parameters[name].shape)}" if name in parameters else "missing"
            raise UnknownWeightError(
                f"{origin}: weight {name} of shape {tuple(tensor.shape)} is {found} in the model. "
                "Remedy: use the same projector and LoRA settings as the run it comes from."
            )


def divide(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divides learned weights into those of the model itself, by the names they have without adapters, and adapters'.

    The former belong into the model before adapters are put there: beside an adapter a layer has another name, and
    DoRA's magnitudes begin as the norms of what the layer holds by then.
    """
    own = {name.replace(".base_layer.", "."): each for name, each in tensors.items() if not is_adapter(name)}
    return own, {name: each for name, each in tensors.items() if is_adapter(name)}


def is_adapter(name: str) -> bool:
    """Returns whether a parameter is an adapter's, by its name."""
    return ".lora_" in name
