"""Where a run stands, as JSON: step, stream, loss scale, callbacks. Readable by a person; nothing is unpickled.

JSON keeps float64 exactly (shortest text that reads back the same), so what is summed goes on bit-equal.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

NAME = "position.json"
SCHEMA = 1
VALIDATE_LOSS = "validate_loss"
_TENSOR = "__tensor__"


class PositionError(ValueError):
    """A position cannot be written as JSON, or was written by another version."""


def text(position: dict[str, Any]) -> str:
    """Returns a position as JSON.

    Raises:
        PositionError: If something in it is neither plain data nor a small tensor.
    """
    try:
        return json.dumps({"schema": SCHEMA, **position}, indent=1, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise PositionError(
            f"The state of a callback cannot be written as JSON ({error}). Remedy: let its state_dict() return "
            "numbers, text, lists, dictionaries or tensors."
        ) from None


def read(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's position.

    Raises:
        PositionError: If it was written by another version.
    """
    try:
        position: dict[str, Any] = json.loads((folder / NAME).read_text(), object_hook=_tensors)
    except FileNotFoundError:
        position = {}  # checkpoints of the first version had none
    if position.get("schema") != SCHEMA:
        raise PositionError(
            f"{folder / NAME}: schema {position.get('schema')}, and this version reads {SCHEMA}. "
            "Remedy: resume with the version that wrote it, or start a new run with --model.init_from."
        )
    return position


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu()
        return {_TENSOR: flat.tolist(), "dtype": str(flat.dtype).removeprefix("torch.")}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _tensors(value: dict[str, Any]) -> Any:
    return torch.tensor(value[_TENSOR], dtype=getattr(torch, value["dtype"])) if _TENSOR in value else value


def validation_loss(folder: Path) -> float:
    """Returns the validation loss that a checkpoint was saved with; infinite where it was not validated."""
    try:
        loss = json.loads((folder / NAME).read_text()).get(VALIDATE_LOSS)
    except (OSError, ValueError):
        return math.inf
    return math.inf if loss is None else float(loss)
