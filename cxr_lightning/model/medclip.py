"""MedCLIP checkpoints as they are published: one `pytorch_model.bin`, read as the Swin tower that it holds.

Wang et al., MedCLIP: Contrastive Learning from Unpaired Medical Images and Text, EMNLP 2022. The file has a text tower,
a temperature, and under `vision_model.model.` the weights of Hugging Face's Swin
(microsoft/swin-tiny-patch4-window7-224); its pooling and 512-wide projection serve contrastive learning alone and are
left behind. The sizes are read off the tensors' shapes, since no configuration is published beside them. Nothing is
unpickled but tensors.
"""

# Shapes: E width of the first stage, H heads, W side of a window in patches, P side of a patch in pixels.

from __future__ import annotations

import pickle
import re
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from transformers import SwinConfig

from cxr_lightning.model.source import ModelSourceError

WEIGHTS = "pytorch_model.bin"
IMAGE_SIZE = 224
MEAN = (0.5862785803043838,) * 3
STD = (0.27950088968644304,) * 3
"""The published extractor normalises gray images; the model repeats them to three channels."""

_SWIN = "vision_model.model."
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.blocks\.(\d+)\.")
_BIASES = "encoder.layers.{}.blocks.0.attention.self.relative_position_bias_table"
_PATCH = "embeddings.patch_embeddings.projection.weight"


def is_medclip(name: str) -> bool:
    """Returns whether a tower is named that Hugging Face would not load: a `.bin`, or a folder with nothing beside it.

    Args:
        name: Folder, file or hub name.
    """
    path = Path(name)
    if path.is_file():
        return path.suffix in (".bin", ".pt", ".pth")
    return (path / WEIGHTS).is_file() and not (path / "config.json").is_file()


def tower_config(name: str) -> SwinConfig:
    """Returns the Swin configuration of a published checkpoint.

    Args:
        name: The folder or the file.

    Raises:
        ModelSourceError: If the layout is another one.
    """
    tensors = tower_tensors(name)
    blocks = [tuple(map(int, match.groups())) for key in tensors if (match := _BLOCK.match(key))]
    try:
        stages = max(stage for stage, _ in blocks) + 1
        first = tensors[_PATCH]
        biases = [tensors[_BIASES.format(stage)] for stage in range(stages)]
    except (KeyError, ValueError) as error:
        raise other_layout(name, f"no Swin under {_SWIN}* ({error})") from None
    return SwinConfig(
        image_size=IMAGE_SIZE,
        patch_size=first.shape[-1],
        num_channels=first.shape[1],
        embed_dim=first.shape[0],
        depths=[1 + max(block for at, block in blocks if at == stage) for stage in range(stages)],
        num_heads=[bias.shape[1] for bias in biases],
        window_size=(round(biases[0].shape[0] ** 0.5) + 1) // 2,  # a window of W has (2W - 1)^2 relative positions
    )


def tower_tensors(name: str) -> dict[str, Tensor]:
    """Returns the tower's tensors by their names in Hugging Face's Swin.

    Args:
        name: The folder or the file.

    Raises:
        ModelSourceError: If it cannot be read, or the layout is another one.
    """
    path = Path(name) / WEIGHTS if Path(name).is_dir() else Path(name)
    return dict(_read(name, path, path.stat().st_mtime_ns))


@lru_cache(maxsize=1)  # configuration, processor and weights ask one after another
def _read(name: str, path: Path, changed: int) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise other_layout(name, f"it cannot be read as tensors ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or not all(isinstance(each, Tensor) for each in content.values()):
        raise other_layout(name, "it holds other things than named tensors")
    if f"{_SWIN}conv1.weight" in content:
        raise other_layout(name, "it is MedCLIP-ResNet50, whose feature map is no sequence of tokens")
    found = {key.removeprefix(_SWIN): value for key, value in content.items() if key.startswith(_SWIN)}
    if not found:
        raise other_layout(name, f"none of its {len(content)} tensors begins with {_SWIN}")
    return {key: value for key, value in found.items() if not key.endswith("relative_position_index")}  # computed


def other_layout(name: str, why: str) -> ModelSourceError:
    """Returns the refusal of a checkpoint.

    Args:
        name: The folder or the file.
        why: What was found.
    """
    return ModelSourceError(
        f"--model.source.vision={name} is no MedCLIP checkpoint as published: {why}. Remedy: give the folder or "
        f"{WEIGHTS} of MedCLIP-ViT (RyanWangZf/MedCLIP), or the folder of a Hugging Face vision tower."
    )
