"""Runs that were never trained: a base, weights drawn in the place of learned ones, and the record of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cxr_lightning.checkpoint import manifest, weights
from cxr_lightning.checkpoint.runs import WEIGHTS, write_provenance
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import family_of
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Lora, Loras, loras_to_json
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable, prepare

RANDOM = 0.05


def write_run(
    folder: Path,
    source: ModelSource,
    trainable: Trainable,
    lora: Lora = Lora(rank=4, alpha=8),
    vision_lora: Lora | None = None,
    precision: str = "32-true",
) -> Path:
    """Writes a run whose checkpoint holds drawn weights for all that learns."""
    processor = load_processor(source)
    model = load_model(source, processor)
    family = family_of(source, model.config)
    untaught = fingerprint(model.named_parameters())
    loras: Loras = trainable.loras(lora, vision_lora)
    counts = prepare(model, trainable, loras, family)
    torch.manual_seed(1)
    learned = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                learned[name] = parameter + RANDOM * torch.randn_like(parameter)
    checkpoint = folder / "checkpoints" / "step-0000001"
    checkpoint.mkdir(parents=True)
    weights.save(checkpoint / WEIGHTS, learned, base=untaught, lora=loras_to_json(loras))
    manifest.write(checkpoint, {WEIGHTS: manifest.entry(checkpoint / WEIGHTS)})
    record: dict[str, Any] = {
        "cxr_lightning": "test", "commit": None, "stage": "instruction", "model": source.to_json(), "ranks": 1,
        "trainable": trainable.to_json(), "lora": loras_to_json(loras), "base_fingerprint": untaught,
        "parameters": {"learning": counts.learning, "total": counts.total}, "inherits": None, "precision": precision,
        "data": {"fingerprint": "0" * 32, "samples": 7, "image_size": 64},
    }  # fmt: skip
    write_provenance(folder, record)
    return folder
