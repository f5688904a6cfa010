"""The model that a run left behind, put together again without its training: base, learned weights, adapters.

The base stays what lies on disk, mapped and not copied; what was learned is laid over it, not written into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.runs import WEIGHTS, Run
from cxr_lightning.export.lending import Reading, as_stored
from cxr_lightning.export.pages import Pages
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import VlmFamily, family_of
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Loras, add_adapters, loras_from_json
from cxr_lightning.model.quantize import held_as, rounded, rounds
from cxr_lightning.model.source import ModelSource


@dataclass
class Base:
    """A model as it was before training.

    Attributes:
        run: The run that began with it.
        source: What it was built of.
        processor: Its processor.
        model: The model; its weights are pages of their files where these are safetensors.
        family: Which weights are of which role.
        read: What its stored weights stand for: four bits leave of some other values.
        pages: Gives memory back.
    """

    run: Run
    source: ModelSource
    processor: Any
    model: Any
    family: VlmFamily
    read: Reading
    pages: Pages


def load_base(run: Run) -> Base:
    """Returns the model that a run began with, as it lies on disk."""
    source = ModelSource.from_json(run.provenance["model"])
    processor = load_processor(source)
    model = load_model(source, processor, dtype="stored")
    family = family_of(source, model.config)
    read = as_stored if source.quantize is None else _rounding(rounds(model, family), trained_in(run))
    return Base(run, source, processor, model, family, read, Pages())


def learn(base: Base, checkpoint: Path) -> Loras:
    """Lays what a run learned over its base; the adapters' settings are those that lie with their weights.

    Args:
        base: The base; afterwards it is the trained model.
        checkpoint: The checkpoint's folder.

    Returns:
        The adapters' settings by role.

    Raises:
        OtherBaseError: If it was learned on another base.
        UnknownWeightError: If a learned weight fits nowhere.
    """
    path, model = checkpoint / WEIGHTS, base.model
    untaught = fingerprint(model.named_parameters(), read=base.pages.give_back)
    held = held_as(untaught, base.source, weights.lora_of(path))
    own, adapters = weights.divide(weights.read(path, base=held))
    loras = loras_from_json(weights.lora_of(path))
    lay(model, own, origin=path)
    add_adapters(model, loras, base.family, empty=True)
    lay(model, adapters, origin=path)
    missing = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if missing:
        raise weights.UnknownWeightError(
            f"{path} lacks {missing[0]} and {len(missing) - 1} more weights of its adapters. "
            "Remedy: export an earlier checkpoint of the run."
        )
    model.requires_grad_(False).eval()
    base.pages = Pages()  # the checkpoint's file is mapped now, too
    return loras


def lay(model: Any, tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Puts tensors in the place of a model's parameters, without copying or changing any.

    Raises:
        UnknownWeightError: If a tensor has no parameter of its name and shape.
    """
    parameters = dict(model.named_parameters())
    weights.require_places(parameters, tensors, origin=origin)
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
    model.tie_weights()


def trained_in(run: Run) -> torch.dtype:
    """Returns the data type that a run trained in."""
    precision = str(run.provenance["precision"])
    if precision.startswith("bf16"):
        return torch.bfloat16
    return torch.float16 if precision.startswith("16") else torch.float32


def _rounding(names: set[str], dtype: torch.dtype) -> Reading:
    def read(name: str, tensor: Tensor) -> Tensor:
        return rounded(tensor, dtype) if name.replace(".base_layer.", ".") in names else tensor

    return read
