"""Floating-point operations that a model's step needs, from its modules and from counts of tokens and images.

Counted are matrix products, a multiplication and an addition each: 2 x rows x columns a position in the forward pass,
as much again for the gradient of the input where something below learns, and once more for the weights that learn
themselves. A frozen tower below everything has no backward pass. Attention within a sample is counted for the half of
the positions that a causal model looks at. What a step computes beyond that (padding, activations computed again) is
no work of the model: it lowers its utilisation (Chowdhery et al., PaLM, 2022, appendix B).
"""

# A position is a token of the language model, or a patch (or CLS token) of a tower.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from cxr_lightning.model.families import ROLES, TOWERS, Role, VlmFamily, pixels_per_token, role_of, vlm_family


@dataclass(frozen=True)
class ImageFlops:
    """Operations on an image, as a polynomial of the patches that it is cut into.

    Attributes:
        image: An image of a tower that resizes all to one size.
        patch: Each patch, where images keep their size (Qwen-VL).
        square: The squared number of patches of an image, likewise.
    """

    image: float = 0.0
    patch: float = 0.0
    square: float = 0.0


@dataclass(frozen=True)
class Work:
    """What a step, or some of them, computed on.

    Attributes:
        tokens: Tokens, without padding.
        squares: Sum of the squared lengths of the samples.
        supervised: Tokens that the loss looks at.
        images: Images.
        patches: Patches of the images, where they keep their size.
        patch_squares: Sum of the squared numbers of patches of these images.
    """

    tokens: float = 0.0
    squares: float = 0.0
    supervised: float = 0.0
    images: float = 0.0
    patches: float = 0.0
    patch_squares: float = 0.0


@dataclass(frozen=True)
class ModelFlops:
    """Operations by what they are spent on, forward and backward.

    Attributes:
        token: Linear layers of the language model, each token.
        square: Its attention, each squared token of a sample.
        supervised: The output matrix, each token that the loss looks at.
        tower: The vision tower.
        projector: What joins it to the language model.
    """

    token: float
    square: float
    supervised: float
    tower: ImageFlops
    projector: ImageFlops

    def of(self, work: Work) -> float:
        """Returns the operations of some work."""
        text = self.token * work.tokens + self.square * work.squares + self.supervised * work.supervised
        images = (self.tower.image + self.projector.image) * work.images
        patches = (self.tower.patch + self.projector.patch) * work.patches
        return text + images + patches + (self.tower.square + self.projector.square) * work.patch_squares


def model_flops(model: nn.Module, family: VlmFamily) -> ModelFlops:
    """Returns what a model's steps cost with what learns in it now.

    Args:
        model: The model, adapters included; its weights may be divided among ranks.
        family: Its row of the table.
    """
    config: Any = model.config
    vision: Any = getattr(config, "vision_config", None)
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    token = supervised = square = 0.0
    images = {"vision": ImageFlops(), "projector": ImageFlops()}
    passes: list[tuple[str, Any, int]] = []
    reached = False
    for role in ROLES:
        if role == "language":
            for name, module, times in _passes(model, family, role, reached):
                if module is head or name.startswith("lm_head."):
                    supervised += _product(module) * times
                else:
                    token += _product(module) * times
        elif vision is not None:
            passes = list(_passes(model, family, role, reached))
            images[role] = _image(passes, role, config)
        reached = reached or any(
            parameter.requires_grad and role_of(name, family) == role for name, parameter in model.named_parameters()
        )
        backward = 3 if reached else 1  # attention has no weights: its backward pass is twice the forward
        if role == "language":
            square = _attention(config.get_text_config()) / 2 * backward
        elif role == "vision" and passes:  # a tower whose features were computed before is not in the model
            images[role] = _plus_attention(images[role], config, backward)
    return ModelFlops(token, square, supervised, images["vision"], images["projector"])


def tower_flops_per_image(config: Any) -> float:
    """Returns the operations of a tower's forward pass on one image.

    For towers that leave images their size, on one of 448 x 448 pixels; see `ModelFlops` for others.

    Args:
        config: The complete model's configuration.
    """
    tower = _untrained(_Hashed(config)).tower
    if not tower.patch:
        return tower.image
    patches = (448 // config.vision_config.patch_size) ** 2
    return tower.patch * patches + tower.square * patches**2


def language_flops_per_token(config: Any) -> float:
    """Returns the operations of a language model's linear layers on one token, forward, without the output matrix.

    Args:
        config: The complete model's configuration.
    """
    return _untrained(_Hashed(config)).token


class _Hashed:
    """A configuration as a key: those of one content are one."""

    def __init__(self, config: Any) -> None:
        self.config, self.key = config, config.to_json_string(use_diff=False)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self.key == other.key


@lru_cache(maxsize=8)
def _untrained(hashed: _Hashed) -> ModelFlops:
    with torch.device("meta"):  # shapes alone
        model = AutoModelForImageTextToText.from_config(hashed.config).requires_grad_(False)
    return model_flops(model, vlm_family(hashed.config))


def _passes(
    model: nn.Module, family: VlmFamily, role: Role, reached: bool
) -> Iterator[tuple[str, nn.Linear | nn.Conv2d | nn.Conv3d, int]]:
    """Yields a role's matrices with the number of products they take part in: forward, input gradient, own gradient.

    Modules are declared in the order in which they run, so that what comes after one that learns needs a gradient.
    """
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own or role_of(f"{name}.{next(iter(own))}".lstrip("."), family) != role:
            continue
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            yield name, module, 1 + reached + module.weight.requires_grad
        reached = reached or any(parameter.requires_grad for parameter in own.values())


def _product(module: nn.Linear | nn.Conv2d | nn.Conv3d) -> float:
    """Returns the operations of one product at one position; of sizes, since a rank may hold a part of a weight."""
    if isinstance(module, nn.Linear):
        return 2.0 * module.in_features * module.out_features
    return 2.0 * module.in_channels * module.out_channels * prod(module.kernel_size) / module.groups


def _attention(config: Any) -> float:
    """Returns the operations of a decoder's attention forward, each squared position: scores and weighted sum."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 4.0 * config.num_hidden_layers * config.num_attention_heads * width


def _image(passes: list[tuple[str, Any, int]], role: Role, config: Any) -> ImageFlops:
    vision = config.vision_config
    if hasattr(vision, "spatial_merge_size"):  # Qwen-VL: the merger sees what became of several patches
        merged = vision.spatial_merge_size**2
        each = (
            _product(module) * times / (merged if "merger" in name and isinstance(module, nn.Linear) else 1)
            for name, module, times in passes
        )
        return ImageFlops(patch=sum(each))
    each = (_product(module) * times * _places(name, module, role, config) for name, module, times in passes)
    return ImageFlops(image=sum(each))


def _places(name: str, module: nn.Module, role: Role, config: Any) -> float:
    """Returns at how many positions a module of tower or projector works on one image."""
    vision = config.vision_config
    side, patch = int(vision.image_size), int(vision.patch_size)
    patches = (side // patch) ** 2
    if isinstance(module, nn.Conv2d):
        return patches
    if hasattr(vision, "depths"):  # Swin: every stage has a quarter of the patches of the one before
        if role == "projector":
            return (side // pixels_per_token(vision)) ** 2
        stage = int(name.split("layers.")[1].split(".")[0]) + (".downsample." in name) if "layers." in name else 0
        return patches / 4**stage
    reads = ".crossattention." in name and (".key" in name or ".value" in name)  # a Q-Former looks at all of an image
    if reads or (role == "vision" and "qformer" not in name):
        return patches + _leading(vision)
    counts = (getattr(config, key, None) for key in ("mm_tokens_per_image", "num_query_tokens", "image_seq_length"))
    return next((int(count) for count in counts if count), patches)


def _leading(vision: Any) -> int:
    family = TOWERS.get(vision.model_type)
    return 1 if family is None else family.extra_tokens


def _plus_attention(flops: ImageFlops, config: Any, backward: int) -> ImageFlops:
    vision = config.vision_config
    if hasattr(vision, "spatial_merge_size"):
        layers, windowed = int(vision.depth), 0
        if getattr(vision, "fullatt_block_indexes", None) is not None:  # Qwen2.5-VL attends in windows elsewhere
            windowed = layers - len(vision.fullatt_block_indexes)
        width = getattr(vision, "embed_dim", None) or vision.hidden_size
        window = (getattr(vision, "window_size", 0) // vision.patch_size) ** 2
        patch = flops.patch + 4.0 * windowed * window * width * backward
        return ImageFlops(patch=patch, square=4.0 * (layers - windowed) * width * backward)
    patches = (int(vision.image_size) // int(vision.patch_size)) ** 2
    if hasattr(vision, "depths"):
        stages = enumerate(vision.depths)
        each = (4 * depth * patches / 4**n * vision.window_size**2 * vision.embed_dim * 2**n for n, depth in stages)
        return ImageFlops(image=flops.image + sum(each) * backward)
    return ImageFlops(image=flops.image + _attention(vision) * (patches + _leading(vision)) ** 2 * backward)
