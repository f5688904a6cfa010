"""Both stages at 7B on one card: model FLOPs utilisation, tokens and samples a second, memory; packed and padded.

    python benchmarks/gpu.py [--seconds 60] [--micro_batch 16] [--json FILE] [--stage 2] [--layout packed] [FIT OPTIONS]

Vicuna-7B's shape with CLIP ViT-L/14-336's tower (576 image tokens), random weights made on the card in bfloat16, drawn
radiographs, ZeRO-2 on one rank: what `cxr fit` runs, and the figures that it logs itself. Four trainings, each a
process of its own that ends after so many seconds: four minutes, and about as long to make models and data. `--tiny`
runs two of them on a CPU at a size that says nothing of speed, so that the script is known to work. What an H100 gave
stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    PreTrainedTokenizerFast,
)

from cxr_lightning.model import tiny
from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.packing import pack
from cxr_lightning.training import stage as stages
from cxr_lightning.training.fit import open_cli

CONFIGS = Path(__file__).parents[1] / "configs"
STAGES, LAYOUTS = (1, 2), ("packed", "padded")
COLUMNS = {
    "MFU": ("speed/mfu", 3),
    "TFLOP/s": ("speed/tflops", 2),
    "tokens/s": ("speed/tokens_per_s", 0),
    "samples/s": ("speed/samples_per_s", 1),
    "padding": ("data/padding_share", 3),
    "peak GB": ("memory/allocated_gb", 1),
}
"""Heading, its name in metrics.jsonl, and digits."""


def main() -> None:
    """Measures and prints, or trains once where it is asked to by itself."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seconds", type=float, default=60, help="of each of the four trainings, after two steps")
    parser.add_argument("--micro_batch", type=int, default=16, help="samples computed at once")
    parser.add_argument("--stage", type=int, choices=STAGES, help="this one alone")
    parser.add_argument("--layout", choices=LAYOUTS, help="this one alone")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU")
    parser.add_argument("--folder", type=Path, help="keeps data and runs here, and uses data that is there")
    parser.add_argument("--json", type=Path, help="writes all figures here")
    parser.add_argument("--train", nargs=3, metavar=("FOLDER", "STAGE", "LAYOUT"), help=argparse.SUPPRESS)
    asked, asked.fit = parser.parse_known_args()
    if asked.train:
        _train(asked)
        return
    if not asked.tiny and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device here. Remedy: run it on one, or add --tiny.")
    with nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as temporary:
        if not (Path(temporary) / "base" / "config.json").exists():
            _make(Path(temporary), asked.tiny)
        found = {}
        both = ((1, "packed"), (2, "padded")) if asked.tiny else product(STAGES, LAYOUTS)
        for stage, layout in both:
            if asked.stage not in (None, stage) or asked.layout not in (None, layout):
                continue
            figures = _figures(Path(temporary), stage, layout, asked)
            if figures:
                found[f"stage {stage}, {layout}"] = figures
                _print({f"stage {stage}, {layout}": figures}, asked)
    _print(found, asked)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    if not found:
        raise SystemExit("No training came to its end.")


def _make(folder: Path, small: bool) -> None:
    """Draws and packs studies, and writes the model's configuration and processor; weights are made where it trains."""
    side = 32 if small else 336
    draw(folder / "drawn", studies=16 if small else 200, seed=0, size=max(64, side), workers=1 if small else 8)
    pack("table", folder / "drawn", out=folder / "shards", size=max(64, side), workers=1)
    tower = tiny.write_tower(folder / "tower", "clip", image_size=side, patch=8 if small else 14)
    language = tiny.write_language(folder / "language")
    if not small:
        _fit_tokenizer(folder)
    processor = load_processor(ModelSource(vision=str(tower), language=str(language)))
    processor.save_pretrained(folder / "base")
    _config(processor, small).save_pretrained(folder / "base")


def _fit_tokenizer(folder: Path) -> None:
    """Trains the tokenizer on the drawn reports, so that their lengths in tokens are about those of a real one."""
    reports = [json.loads(line)["report"] for line in (folder / "drawn" / "studies.jsonl").read_text().splitlines()]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "language")
    tokenizer.train_new_from_iterator(reports, 2000).save_pretrained(folder / "language")


def _config(processor: Any, small: bool) -> LlavaConfig:
    if small:
        vision = CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        )
        text = LlamaConfig(
            vocab_size=512, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=3,
        )  # fmt: skip
    else:
        vision = CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
            patch_size=14,
        )  # fmt: skip
        text = LlamaConfig()  # the defaults are Llama-7B's
    tokenizer = processor.tokenizer
    text.bos_token_id, text.eos_token_id, text.pad_token_id = (
        tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=processor.image_token_id,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2, architectures=["LlavaForConditionalGeneration"],
    )  # fmt: skip


def _figures(folder: Path, stage: int, layout: str, asked: argparse.Namespace) -> dict[str, float]:
    """Trains in a process of its own; returns the medians of what it logged after its warm-up, or {} if it failed."""
    options = ["--seconds", asked.seconds, "--micro_batch", asked.micro_batch, *(["--tiny"] if asked.tiny else [])]
    shutil.rmtree(_run(folder, stage, layout), ignore_errors=True)
    command = [sys.executable, __file__, *options, "--train", folder, stage, layout, *asked.fit]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    _run(folder, stage, layout).with_suffix(".log").write_text(done.stdout + done.stderr)
    if done.returncode:
        print(f"stage {stage}, {layout} failed:\n{done.stderr[-3000:]}", file=sys.stderr)
        return {}
    lines = [json.loads(line) for line in (_run(folder, stage, layout) / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/loss" in line][2:]  # the first ones compile, allocate and try kernels out
    names = {name for line in steps for name in line}
    figures = {name: statistics.median(line[name] for line in steps if name in line) for name in sorted(names)}
    return {**figures, "steps": len(steps)}


def _run(folder: Path, stage: int, layout: str) -> Path:
    return folder / f"run-{stage}-{layout}"


class Until(pl.Callback):
    """Ends a training some seconds after its second step.

    Args:
        seconds: How many.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ends = seconds, float("inf")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Looks at the clock."""
        if trainer.global_step == 2:
            self.ends = min(self.ends, time.monotonic() + self.seconds)
        trainer.should_stop = trainer.global_step >= 4 and time.monotonic() > self.ends


def _train(asked: argparse.Namespace) -> None:
    folder, stage, layout = Path(asked.train[0]), int(asked.train[1]), asked.train[2]
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning").setLevel(logging.ERROR)
    stages.load_model = _random_model
    cli = open_cli(_options(folder, stage, layout, asked))
    cli.trainer.callbacks.insert(0, Until(asked.seconds))
    cli.trainer.callbacks = [each for each in cli.trainer.callbacks if type(each).__name__ != "SaveCheckpoints"]
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)


def _random_model(source: ModelSource, processor: Any, *, dtype: torch.dtype = torch.float32) -> Any:
    """Returns a frozen model with random weights, made where it is trained."""
    config = LlavaConfig.from_pretrained(source.base)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model.requires_grad_(False).eval()


def _options(folder: Path, stage: int, layout: str, asked: argparse.Namespace) -> list[str]:
    scale = "cpu" if asked.tiny else "one_gpu"
    micro = 4 if asked.tiny else asked.micro_batch
    unnamed = ["--model.source.vision", "null", "--model.source.language", "null"] if stage == 1 else []
    return [
        "--config", str(CONFIGS / f"stage{stage}.yaml"), "--config", str(CONFIGS / "scale" / f"{scale}.yaml"),
        *unnamed, "--model.source.base", str(folder / "base"), "--run", str(_run(folder, stage, layout)),
        "--data.shards", str(folder / "shards"), "--data.layout", layout, "--data.epochs", "1000",
        "--data.global_batch", str(micro), "--data.micro_batch", str(micro), "--data.validate_samples", "0",
        "--trainer.devices", "1", "--trainer.log_every_n_steps", "1", "--panels.studies", "0",
        *(["--trainer.max_steps", "5"] if asked.tiny else []), *asked.fit,
    ]  # fmt: skip


def _print(found: dict[str, dict[str, float]], asked: argparse.Namespace) -> None:
    device = "CPU" if asked.tiny else torch.cuda.get_device_name()
    what = "a tiny model in float32: nothing of speed is shown" if asked.tiny else "7B, random, bfloat16"
    table = Table("", *COLUMNS, "steps", title=f"{device}: {what}, ZeRO-2, one rank; medians over steps")
    for name, figures in found.items():
        cells = [f"{figures[key]:.{digits}f}" if key in figures else "-" for key, digits in COLUMNS.values()]
        table.add_row(name, *cells, str(figures["steps"]))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
