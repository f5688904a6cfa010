"""A frozen vision tower: images enter once, the hidden states that the projector reads leave, and are kept.

What is kept is the tower's hidden state before anything is selected from it, so that all that follows, the choice of
tokens and the projector, stays Hugging Face's own code: a model that trains from features has `GivenFeatures` in the
tower's place, which hands on what it is given.
"""

# Shapes: I images, C channels, H height, W width; F... the shape of one image's features (tokens, width).

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from cxr_lightning.model.compose import load_model
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.towers import layer_of, load_tower
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.records import Form

PLACES = {
    "llava": "model.vision_tower",
    "gemma3": "model.vision_tower",
    "blip-2": "vision_model",
    "instructblip": "vision_model",
}
"""Where the tower is in models of each type: a module whose whole output the projector (or Q-Former) reads."""
_WITHOUT_MEANING = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Entries of a configuration that change nothing of what a tower computes."""


class FrozenFeaturesError(ValueError):
    """Features cannot be kept for this model, or would not be those that it computes."""


@dataclass(frozen=True)
class Tower:
    """A vision tower and what is read of it.

    Attributes:
        module: The tower.
        layer: The hidden state that is read; None for the last one, as the tower returns it.
    """

    module: Any
    layer: int | None

    @torch.no_grad()
    def __call__(self, pixels_ICHW: Tensor) -> Tensor:
        """Returns what is read of images, of shape (I, F...), on the tower's device and in its data type."""
        parameter = next(self.module.parameters())
        pixels_ICHW = pixels_ICHW.to(parameter.device, parameter.dtype)
        output = self.module(pixel_values=pixels_ICHW, output_hidden_states=self.layer is not None, return_dict=True)
        features: Tensor = output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]
        return features

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Tower:
        """Moves it, frozen and in evaluation mode."""
        self.module.to(device=device, dtype=dtype).requires_grad_(False).eval()
        return self

    def form(self, pixels: Pixels) -> Form:
        """Finds out what its features look like."""
        features = self.blank(pixels)
        return Form(tuple(features.shape[1:]), features.dtype)

    def blank(self, pixels: Pixels) -> Tensor:
        """Returns the features of a blank image."""
        return self(torch.zeros(pixels.outline(1)["pixel_values"].shape))


def tower_of(model: Any) -> Tower:
    """Returns the tower of a model.

    Raises:
        FrozenFeaturesError: If what its projector reads cannot be told from the tower.
    """
    kind, layer = model.config.model_type, getattr(model.config, "vision_feature_layer", None)
    if kind not in PLACES:
        raise FrozenFeaturesError(
            f"Features of {kind} models cannot be kept: their projector is a part of the tower, or reads more of it "
            f"than one hidden state. Remedy: leave out --data.features, or choose a model of {', '.join(PLACES)}."
        )
    if not (layer is None or isinstance(layer, int)):
        raise FrozenFeaturesError(
            f"The projector of this model reads {len(layer)} hidden states of its tower ({layer}), and features of one "
            "are kept. Remedy: leave out --data.features."
        )
    return Tower(model.get_submodule(PLACES[kind]), layer)


def open_tower(source: ModelSource, processor: Any, dtype: torch.dtype) -> Tower:
    """Loads the tower of a model; of two parts, without the language model.

    Args:
        source: The model.
        processor: Its processor.
        dtype: Data type of the weights.
    """
    if source.composed:
        return Tower(load_tower(source, dtype=dtype), layer_of(source))
    return tower_of(load_model(source, processor, dtype=dtype))


def identity(tower: Tower, pixels: Pixels, dtype: torch.dtype) -> dict[str, Any]:
    """Returns all that decides what the features are, as plain values.

    Args:
        tower: The tower, its weights in the data type of storage.
        pixels: What prepares images for it.
        dtype: What it computes in.

    Raises:
        FrozenFeaturesError: If the images are not prepared one by one to one size.
    """
    # Whatever is added to the preparation of images and draws by chance (an augmentation) is to be refused here: one
    # pass's features would be taken for every pass's.
    if not pixels.late:
        raise FrozenFeaturesError(
            f"{type(pixels.processor).__name__} makes more than one size of images, or more than one of an image: "
            "features have no fixed place. Remedy: leave out --data.features."
        )
    config = tower.module.config.to_dict()
    return {
        "weights": fingerprint(tower.module.named_parameters()),
        "architecture": {name: value for name, value in config.items() if name not in _WITHOUT_MEANING},
        "attention": tower.module.config._attn_implementation,
        "layer": tower.layer,
        "image_processor": {
            name: value for name, value in pixels.processor.to_dict().items() if name not in _WITHOUT_MEANING
        },
        "decode": pixels.decode_mode,
        "precision": str(dtype).removeprefix("torch."),
    }


def made_with() -> dict[str, str]:
    """Returns the versions that a tower's last bits may depend on, for whoever wonders."""
    return {"torch": torch.__version__, "transformers": transformers.__version__, "processor": platform.machine()}


class GivenFeatures(nn.Module):
    """Stands in a model where its tower stood, and returns the features that it is given in place of pixels.

    Pixels are still taken, for text that is generated meanwhile: the tower waits in host memory, unknown to optimizer
    and engine, and visits the device for as long as that takes.

    Args:
        tower: The tower.
        pixels: What prepares images for it.
    """

    def __init__(self, tower: Tower, pixels: Pixels) -> None:
        super().__init__()
        self.tower = tower  # `Tower` is no module: nothing moves, divides or saves its weights
        self.config = tower.module.config
        one = tower.blank(pixels)
        self.shape = tuple(one.shape[1:])
        order = sorted(range(1, one.dim()), key=one.stride, reverse=True)
        self.order = (0, *order)
        """Dimensions as they lie in memory: SigLIP's patches lie side by side, and a product of the same numbers laid
        otherwise may end in other bits (in bfloat16 on CPU, the projector's gradient does)."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Returns features as a tower's output."""
        if tuple(pixel_values.shape[1:]) == self.shape:
            back = sorted(range(len(self.order)), key=self.order.__getitem__)
            features = pixel_values.permute(self.order).contiguous().permute(back)
        else:
            features = self._computed(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=features, hidden_states=_EveryLayer(features))

    def _computed(self, pixels_ICHW: Tensor) -> Tensor:
        self.tower.module.to(pixels_ICHW.device)
        features = self.tower(pixels_ICHW).to(pixels_ICHW.dtype)
        self.tower.module.to("cpu")
        return features


class _EveryLayer:
    """Hidden states of which only one was ever computed: whichever is asked for, it is that one."""

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def __getitem__(self, layer: int) -> Tensor:
        return self.features


def replace_tower(model: Any, tower: Tower, pixels: Pixels) -> None:
    """Puts `GivenFeatures` where a model's tower is; the tower goes to host memory."""
    given = GivenFeatures(tower, pixels)
    tower.module.to("cpu")
    model.set_submodule(PLACES[model.config.model_type], given)
