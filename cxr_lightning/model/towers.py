"""Vision towers for models of two parts: configuration, weights, image processor, and what does not fit together.

A tower that reads the wrong layer, drops a patch for a CLS token that it never had, or makes another number of tokens
than the processor writes would train without a word, or end in an error about shapes. So it is refused before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, LlavaImageProcessor, SwinModel

from cxr_lightning.model import medclip
from cxr_lightning.model.families import image_tokens, pixels_per_token, tower_family
from cxr_lightning.model.opening import Dtype, open_part
from cxr_lightning.model.source import ModelSource, ModelSourceError, SelectStrategy

_OPTION = "--model.source.vision"


def tower_config(source: ModelSource) -> Any:
    """Returns the configuration of the tower that a source names.

    Raises:
        ModelSourceError: If there is no such tower, or layer, selection or image size do not fit it.
        UnknownFamilyError: If the table has no row for it.
    """
    assert source.vision is not None
    if medclip.is_medclip(source.vision):
        config: Any = medclip.tower_config(source.vision)
    else:
        config = open_part(AutoConfig, source.vision, _OPTION)
        config = getattr(config, "vision_config", config)  # of a CLIP or SigLIP pair, the half that sees
    tower_family(config)
    if not hasattr(config, "hidden_size"):
        raise ModelSourceError(
            f"The vision tower {source.vision} does not state its hidden_size. "
            "Remedy: choose a tower of another family."
        )
    _require_size(config, source)
    _require_select(config, source)
    _require_layer(config, source)
    return config


def load_tower(source: ModelSource, *, dtype: Dtype = torch.float32) -> Any:
    """Returns the vision tower of a model of two parts, alone.

    Args:
        source: The parts.
        dtype: Data type of the weights.
    """
    config = tower_config(source)
    assert source.vision is not None
    if medclip.is_medclip(source.vision):
        tensors = medclip.tower_tensors(source.vision)
        tower, loading = SwinModel.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32 if dtype == "stored" else dtype,
            output_loading_info=True,
        )
        odd = sorted([*loading["missing_keys"], *loading["unexpected_keys"]])
        if odd:
            raise medclip.other_layout(source.vision, f"{len(odd)} tensors of its Swin do not fit, {odd[0]} first")
        return tower
    with torch.device("meta"):
        tower_class = type(AutoModel.from_config(config))
    return open_part(tower_class, source.vision, _OPTION, config=config, dtype=dtype)


def layer_of(source: ModelSource) -> int:
    """Returns which hidden state of its tower a model of two parts reads."""
    return tower_family(tower_config(source)).layer if source.vision_layer is None else source.vision_layer


def select_of(source: ModelSource, config: Any) -> SelectStrategy:
    """Returns which of the tower's tokens a model of two parts reads."""
    return source.select or tower_family(config).select


def image_processor(source: ModelSource, config: Any) -> LlavaImageProcessor:
    """Keeps the tower's normalisation; pads to a square first, since cropping a radiograph can lose a lung.

    Args:
        source: The parts.
        config: The tower's configuration.
    """
    family, name = tower_family(config), str(source.vision)
    mean, std, resample = list(family.mean), list(family.std), 3
    if medclip.is_medclip(name):
        mean, std = list(medclip.MEAN), list(medclip.STD)
    elif Path(name, "preprocessor_config.json").is_file() or not Path(name).exists():
        theirs = open_part(AutoImageProcessor, source.vision, _OPTION)
        mean, std, resample = list(theirs.image_mean), list(theirs.image_std), int(theirs.resample)
    side = {"height": config.image_size, "width": config.image_size}
    return LlavaImageProcessor(
        do_pad=True,
        size=side,
        crop_size=side,
        do_center_crop=False,
        resample=resample,
        image_mean=mean,
        image_std=std,
    )


def _require_size(config: Any, source: ModelSource) -> None:
    """Makes one number of the image's side, and refuses one that the tower would not divide into whole tokens."""
    for name in ("image_size", "patch_size"):
        value = getattr(config, name)
        sides = set(value) if isinstance(value, list | tuple) else {value}
        if len(sides) > 1:
            raise ModelSourceError(
                f"The vision tower {source.vision} has {name} {value}, and Llava knows square ones alone. Remedy: "
                "choose a tower for square images."
            )
        setattr(config, name, int(sides.pop()))
    side, step = config.image_size, pixels_per_token(config)
    # Others look at the whole patches and leave the rest of the image, as they were trained; Swin pads, and makes more.
    if (side % step and config.model_type == "swin") or side < step:
        raise ModelSourceError(
            f"The vision tower {source.vision} sees images of {side} pixels, and one of its tokens covers {step}: "
            f"{side / step:.2f} tokens a side. Remedy: set image_size in its config.json to a multiple of {step} "
            f"({max(1, side // step) * step} or {(side // step + 1) * step})."
        )


def _require_select(config: Any, source: ModelSource) -> None:
    family = tower_family(config)
    if select_of(source, config) == "default" and not family.extra_tokens:
        raise ModelSourceError(
            f"--model.source.select=default drops a tower's first token as CLS, and {source.vision} "
            f"({config.model_type}) has none: a patch of the image would be lost. Remedy: leave "
            f"--model.source.select out; this family needs full, which keeps all {image_tokens(config, 'full')} tokens."
        )


def _require_layer(config: Any, source: ModelSource) -> None:
    layer = source.vision_layer
    if layer is None:
        return
    stages = len(config.depths) if config.model_type == "swin" else config.num_hidden_layers
    states = stages + 1  # the embeddings come first
    place = layer + states if layer < 0 else layer
    if not 0 <= place < states:
        raise ModelSourceError(
            f"--model.source.vision_layer={layer}: {source.vision} has {states} hidden states, {-states} to "
            f"{states - 1}. Remedy: leave it out for the family's custom."
        )
    if config.model_type == "swin" and place < states - 2:
        raise ModelSourceError(
            f"--model.source.vision_layer={layer}: Swin's earlier stages have other widths and more tokens than "
            f"{source.vision} hands on. Remedy: choose -1 or -2, or leave it out."
        )
