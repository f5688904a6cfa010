"""Every family at tiny size, and samples that show one image and two."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SwinConfig, SwinModel

from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.sample import RawSample
from tests.families.models import WRITERS

TOWERS = ("clip", "siglip", "dinov2", "vit", "swin", "medclip")
ONE_IMAGE = ("blip2", "instructblip")
"""Families that read one image a sample."""

_PUBLISHED = {
    "attention.q_proj": "attention.self.query",
    "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value",
    "attention.relative_position_bias.": "attention.self.",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
"""Names that Swin's weights have now, and had when MedCLIP was published."""


def write_medclip(folder: Path) -> Path:
    """Writes a tiny checkpoint in MedCLIP's published layout, and its tower as Hugging Face's beside it."""
    config = SwinConfig(
        image_size=224, patch_size=4, embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=7
    )
    torch.manual_seed(0)
    tower = SwinModel(config)
    tower.save_pretrained(folder / "hugging_face")
    return write_published(folder, tower.state_dict())


def write_published(folder: Path, swin: dict[str, torch.Tensor]) -> Path:
    """Writes a Swin's tensors as MedCLIP has published its own, among others."""
    tensors = {}
    for name, tensor in swin.items():
        for now, then in _PUBLISHED.items():
            name = name.replace(now, then)
        tensors[f"vision_model.model.{name}"] = tensor
    index = "vision_model.model.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    tensors[index] = torch.zeros(49, 49, dtype=torch.long)  # was stored then, and is computed now
    tensors["vision_model.projection_head.weight"] = torch.zeros(512, 64)
    tensors["text_model.model.embeddings.word_embeddings.weight"] = torch.zeros(10, 8)
    tensors["text_model.projection_head.weight"] = torch.zeros(512, 8)
    tensors["logit_scale"] = torch.tensor(2.66)
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="session")
def sources(parts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSource]:
    """How each family is named in a configuration."""
    folder = tmp_path_factory.mktemp("families")
    (folder / "medclip").mkdir()
    towers = {**parts, "medclip": str(write_medclip(folder / "medclip"))}
    composed = {name: ModelSource(vision=towers[name], language=parts["language"]) for name in TOWERS}
    whole = {name: ModelSource(base=str(write(folder / name, parts["language"]))) for name, write in WRITERS.items()}
    return {**composed, **whole}


def film(seed: int, height: int, width: int) -> bytes:
    """Returns a gray PNG of noise."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


def sample(key: str, images: int, *, answer: str = "Small left pleural effusion.") -> RawSample:
    """Returns a sample of one turn and a follow-up that shows so many images of unequal shapes."""
    turns = [
        {"role": "user", "content": "<image>\n" * images + "What has changed since the prior film?"},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "Which side?"},
        {"role": "assistant", "content": "Left."},
    ]
    files = {"png": film(1, 64, 64), "lateral.png": film(2, 80, 60)}
    record = {"conversation": turns, "summary": answer}
    return RawSample(key, record, dict(list(files.items())[: max(images, 1)]))
