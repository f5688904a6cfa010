"""Adapters into weights: W + s B A in float32, tensor by tensor, each made when it is asked for and rounded once.

With DoRA each row of the sum is brought to the length that was learned (Liu et al. 2024, equation 5). Nothing is
changed in place and nothing is kept, so a model of any size is merged in the memory of its largest matrix.
"""

# Shapes: O outputs, I inputs, R rank, N some rows of the outputs.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from cxr_lightning.export.lending import Reading, as_stored
from cxr_lightning.export.pages import Pages
from cxr_lightning.model.families import VlmFamily, role_of
from cxr_lightning.model.lora import ADAPTER, Lora, Loras
from cxr_lightning.model.projector import LinearProjector, as_two_layers

PROJECTOR = "model.multi_modal_projector."
_BASE = ".base_layer"
_ROWS = 512


class Merged(Mapping[str, Tensor]):
    """A trained model's weights, named as in a model that never had adapters; looking one up merges it.

    What has no adapter comes as it is stored; what has one comes in float32.

    Args:
        model: The model, adapters in place.
        loras: The adapters' settings by role.
        family: Which weights are of which role.
        read: What the stored weights stand for.
        pages: Where memory of files is given back (`done_with`).
    """

    def __init__(
        self, model: Any, loras: Loras, family: VlmFamily, read: Reading = as_stored, pages: Pages | None = None
    ) -> None:
        self._state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self.read, self._pages, self._loras, self._family = read, pages, loras, family
        self._places = {name.replace(f"{_BASE}.", "."): name for name in self._state if ".lora_" not in name}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def stored(self, name: str) -> Tensor:
        """Returns a weight before its adapter, as it is stored."""
        return self._state[self._places[name]]

    @property
    def adapted(self) -> dict[str, str]:
        """The layers that have adapters: the module's name for the name of its merged weight."""
        ends = f"{_BASE}.weight"
        return {name: place.removesuffix(ends) for name, place in self._places.items() if place.endswith(ends)}

    def done_with(self, part: Tensor, name: str) -> None:
        """Gives back the memory of part of a weight, and of what the weight was made of if that was something else."""
        place = self._places.get(name)
        if self._pages is None or place is None:
            return
        stored = self._state[place]
        if part.untyped_storage().data_ptr() == stored.untyped_storage().data_ptr():
            self._pages.give_back(part)
            return
        layer = place.removesuffix(f"{_BASE}.weight")
        halves = [f"{layer}.lora_{half}.{ADAPTER}.weight" for half in "AB"] if layer != place else []
        for each in (place, *halves):  # it was computed or converted whole
            self._pages.give_back(self._state[each])

    def __getitem__(self, name: str) -> Tensor:
        return self.merge(name, torch.float32)

    def merge(self, name: str, dtype: torch.dtype) -> Tensor:
        """Returns a weight; one that has an adapter is computed in float32 and rounded to a data type once.

        Args:
            name: Its name in the model without adapters.
            dtype: The data type, where it has an adapter.
        """
        place = self._places[name]
        tensor = self.read(place, self._state[place])
        layer = place.removesuffix(f"{_BASE}.weight")
        if layer == place:
            return tensor
        return self._merge(tensor, layer, self._loras[role_of(place, self._family)], dtype)

    def _merge(self, weight_OI: Tensor, layer: str, lora: Lora, dtype: torch.dtype) -> Tensor:
        down_RI, up_OR = (self._state[f"{layer}.lora_{part}.{ADAPTER}.weight"].float() for part in "AB")
        merged_OI = torch.empty(weight_OI.shape, dtype=dtype)
        for begin in range(0, len(weight_OI), _ROWS):  # few enough that each step finds them in the cache
            here = slice(begin, begin + _ROWS)
            sum_NI = (up_OR[here] @ down_RI).mul_(lora.scale).add_(weight_OI[here])  # rounds as W.float() + s B A does
            if lora.dora:
                length_N = self._state[f"{layer}.lora_magnitude_vector.{ADAPTER}.weight"][here].float()
                sum_NI *= (length_N / torch.linalg.norm(sum_NI, dim=1))[:, None]
            merged_OI[here] = sum_NI
        return merged_OI


def merging(merged: Merged, dtype: torch.dtype | None = None) -> Reading:
    """Returns the reading that gives adapted layers their merged weights, for a model whose adapters are off.

    Args:
        merged: The merged weights.
        dtype: Round all floats to this type, as an export does; None rounds nothing.
    """

    def read(name: str, tensor: Tensor) -> Tensor:
        if name.endswith(f"{_BASE}.weight"):
            tensor = merged.merge(name.replace(f"{_BASE}.", "."), dtype or torch.float32)
        else:
            tensor = merged.read(name, tensor)
        return tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)

    return read


def serving_frame(model: Any, merged: Merged) -> tuple[Any, dict[str, Tensor]]:
    """Returns an empty plain Hugging Face model to take merged weights, and those that are not named as in training.

    A linear projector becomes the two layers that servers know.

    Args:
        model: The trained model, adapters in place.
        merged: Its weights.

    Returns:
        The model on the device `meta`, and weights by name that replace others.
    """
    config, instead = model.config, dict[str, Tensor]()
    projector = getattr(getattr(model, "model", None), "multi_modal_projector", None)
    if isinstance(projector, LinearProjector):
        activation, layers = as_two_layers(*(merged[PROJECTOR + name].float() for name in ("weight", "bias")))
        instead = {PROJECTOR + name: tensor for name, tensor in layers.items()}
        config.projector_hidden_act, config.multimodal_projector_bias = activation, True
    _forget_training_attention(config)
    with torch.device("meta"):
        frame = type(model)(config)
    frame.generation_config = model.generation_config
    return frame.eval(), instead


def _forget_training_attention(config: Any) -> None:
    """Names an attention that every transformers has; ours is registered only where this package is imported."""
    for part in (config, getattr(config, "text_config", None)):
        if part is not None:
            part._attn_implementation = "sdpa"
