"""The model that a run left behind, put together again without its training: base, learned weights, adapters.

The base stays what lies on disk, mapped and not copied; what was learned is laid over it, not written into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.runs import WEIGHTS, Run
from cxr_lightning.export.lending import Reading, as_stored
from cxr_lightning.export.pages import Pages
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import VlmFamily, family_of, role_of
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Loras, add_adapters, loras_from_json
from cxr_lightning.model.quantize import held_as, rounded, rounds
from cxr_lightning.model.source import ModelSource


@dataclass(frozen=True)
class Model:
    """A run's model, before or after what was learned is laid over its base.

    Attributes:
        run: The run.
        source: What it was built of.
        processor: Its processor.
        module: The module tree; its weights are pages of their files where these are safetensors.
        family: Which weights are of which role.
        read: What its stored weights stand for: four bits leave of some other values.
        pages: Gives memory back.
        loras: The adapters' settings by role.
        origin: The file of what was learned; None before.
    """

    run: Run
    source: ModelSource
    processor: Any
    module: Any
    family: VlmFamily
    read: Reading
    pages: Pages
    loras: Loras
    origin: Path | None = None


def load_base(run: Run) -> Model:
    """Returns the model that a run began with, as it lies on disk."""
    source = ModelSource.from_json(run.provenance["model"])
    processor = load_processor(source)
    module = load_model(source, processor, dtype="stored")
    family, pages = family_of(source, module.config), steadied(module)
    read = as_stored if source.quantize is None else _rounding(rounds(module, family), trained_in(run))
    return Model(run, source, processor, module, family, read, pages, {})


def learn(base: Model, checkpoint: Path) -> Model:
    """Lays what a run learned over its base; the adapters' settings are those that lie with their weights.

    Args:
        base: The base; its module becomes the trained one.
        checkpoint: The checkpoint's folder.

    Returns:
        The trained model.

    Raises:
        OtherBaseError: If it was learned on another base.
        UnknownWeightError: If a learned weight fits nowhere, or one is missing.
    """
    path, module = checkpoint / WEIGHTS, base.module
    untaught = fingerprint(module.named_parameters(), read=base.pages.give_back)
    held = held_as(untaught, base.source, weights.lora_of(path))
    own, adapters = weights.divide(weights.read(path, base=held))
    _require_all(base, own, path)
    loras = loras_from_json(weights.lora_of(path))
    lay(module, own, origin=path)
    add_adapters(module, loras, base.family, empty=True)
    lay(module, adapters, origin=path)
    lacking = [name for name, parameter in module.named_parameters() if parameter.is_meta]
    if lacking:
        raise _lacks(path, lacking)
    module.requires_grad_(False).eval()
    base.pages.trust([*own.values(), *adapters.values()])
    return replace(base, loras=loras, origin=path)


def lay(module: Any, tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Puts tensors in the place of a model's parameters, without copying or changing any.

    Raises:
        UnknownWeightError: If a tensor has no parameter of its name and shape.
    """
    parameters = dict(module.named_parameters())
    weights.require_places(parameters, tensors, origin=origin)
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        setattr(module.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
    module.tie_weights()


def steadied(module: nn.Module) -> Pages:
    """Readies a model that was just loaded to be compared with others, and returns what gives its memory back.

    Two models shall differ by their weights and configurations, not by what loading did to a constant: the scales of
    embeddings, which one loaded in another type has rounded (Gemma 3), are made float32 again.
    """
    for each in module.modules():
        scale: Any = getattr(each, "scalar_embed_scale", None)
        if scale is not None:
            each.embed_scale = torch.tensor(scale, dtype=torch.float32)
    pages = Pages()
    pages.trust(module.state_dict().values())
    return pages


def trained_in(run: Run) -> torch.dtype:
    """Returns the data type that a run trained in."""
    precision = str(run.provenance["precision"])
    if precision.startswith("bf16"):
        return torch.bfloat16
    return torch.float16 if precision.startswith("16") else torch.float32


def _require_all(base: Model, own: Mapping[str, Tensor], path: Path) -> None:
    """Refuses a checkpoint without a weight that learned in full: the untrained one would be served in its place."""
    full = {role for role, how in base.run.provenance["trainable"].items() if how == "full"}
    names = [name for name, _ in base.module.named_parameters() if role_of(name, base.family) in full]
    lacking = [name for name in names if name not in own]
    if lacking:
        raise _lacks(path, lacking)


def _lacks(path: Path, names: list[str]) -> weights.UnknownWeightError:
    return weights.UnknownWeightError(
        f"{path} lacks {names[0]} and {len(names) - 1} more weights that the run learned. "
        "Remedy: export an earlier checkpoint of the run."
    )


def _rounding(names: set[str], dtype: torch.dtype) -> Reading:
    def read(name: str, tensor: Tensor) -> Tensor:
        return rounded(tensor, dtype) if name.replace(".base_layer.", ".") in names else tensor

    return read
