"""Stage 1 from a frozen tower's features beside stage 1 from images: samples a second, on the same samples.

    python benchmarks/features.py [--repeats 3] [--only swin]

Towers and language models have the shapes of known ones and random weights, which cost what trained ones cost. Every
measurement is a `cxr fit` of its own on one thread; the two ways take turns; medians over steps and rounds, the first
step left out. CPU seconds are the steadier figure where others use the machine as well.
The losses of both are compared as well: they must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from rich.table import Table
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, SwinConfig, SwinModel
from transformers.utils.logging import disable_progress_bar

from cxr_lightning.model import tiny
from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.packing import pack

ROOT = Path(__file__).parents[1]
WAYS = ("images", "features")


class Case(NamedTuple):
    """A model.

    Attributes:
        told: What it is called in the table.
        tower: Configuration of the tower.
        language: Width and layers of a Llama.
        batch: Samples a step.
    """

    told: str
    tower: Any
    language: dict[str, int]
    batch: int


CASES = {
    "swin-tiny": Case(
        "Swin-T, 224 px (MedCLIP's), 49 tokens; Llama of 3 M parameters",
        lambda: SwinConfig(),
        {"width": 192, "layers": 8},
        16,
    ),
    "clip-b": Case(
        "CLIP ViT-B/16, 224 px, 196 tokens; Llama of 100 M parameters",
        lambda: CLIPVisionConfig(patch_size=16),
        {"width": 576, "layers": 30},
        4,
    ),
    "clip-l": Case(
        "CLIP ViT-L/14, 336 px, 576 tokens; Llama of 100 M parameters",
        lambda: CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
        ),
        {"width": 576, "layers": 30},
        2,
    ),
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--only", nargs="*", help="cases whose names begin so")
    parser.add_argument("--fit", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fit:
        clocked(asked.fit)
        return
    disable_progress_bar()
    heads = [f"{way}, {unit}" for unit in ("samples/s", "CPU s a sample") for way in WAYS]
    table = Table("", *heads, "CPU s, ratio", "kB an image")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder / "studies", studies=24, size=512, workers=1)
        pack("table", folder / "studies", out=folder / "shards", size=512, workers=1)
        for name, case in CASES.items():
            if not asked.only or name.startswith(tuple(asked.only)):
                table.add_row(case.told, *measure(folder / name, folder / "shards", case, asked.steps, asked.repeats))
    console = Console(width=140)
    console.print(table)
    console.print(f"{os.cpu_count()} CPUs, 1 thread, {platform.machine()}, float32, torch {torch.__version__}")


def measure(folder: Path, shards: Path, case: Case, steps: int, repeats: int) -> list[str]:
    """Runs one case; returns its cells."""
    write(folder, case)
    options = [
        "--config", "configs/stage1.yaml", "--config", "configs/scale/cpu.yaml", "--trainer.devices", 1,
        "--data.shards", shards, "--data.validate_samples", 0, "--data.epochs", 9, "--trainer.max_steps", steps,
        "--data.global_batch", case.batch, "--data.micro_batch", case.batch, "--data.max_tokens", 1024,
        "--model.source.vision", folder / "tower", "--model.source.language", folder / "language",
        "--trainer.log_every_n_steps", 1, "--panels.studies", 0,
    ]  # fmt: skip
    kept = folder / "features"
    cxr("features", *options, "--data.features", kept)
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(repeats):
        losses = {}
        for way in WAYS:
            run = folder / f"{way}-{number}"
            more = ["--data.features", kept] if way == "features" else []
            answer = json.loads(python(__file__, "--fit", *options, "--run", run, *more).splitlines()[-1])
            lines = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
            losses[way] = [line["train/loss"] for line in lines]
            rates[way] += [case.batch / seconds for seconds in answer["wall"]]
            spent[way] += [seconds / case.batch for seconds in answer["cpu"]]
        assert losses["images"] == losses["features"], losses
    about = json.loads((kept / "features.json").read_text())["image"]
    size = 4 * about["shape"][0] * about["shape"][1] / 1e3
    told = [_told(rates[way], ".2f") for way in WAYS] + [_told(spent[way], ".3f") for way in WAYS]
    ratio = statistics.median(spent["images"]) / statistics.median(spent["features"])
    return [*told, f"{ratio:.2f}", f"{size:.0f}"]


def _told(values: list[float], digits: str) -> str:
    return f"{statistics.median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def clocked(arguments: list[str]) -> None:
    """Runs a fit in this process and prints how long its steps took, the first one left out."""
    from cxr_lightning.training.fit import fit
    from cxr_lightning.training.stage import StageModule

    clock: list[tuple[float, float]] = []
    begin = StageModule.on_train_batch_start

    def noting(self, batch, batch_idx):
        clock.append((time.perf_counter(), time.process_time()))
        begin(self, batch, batch_idx)

    StageModule.on_train_batch_start = noting
    fit(arguments)
    pairs = list(pairwise(clock[1:]))
    print(json.dumps({"wall": [b[0] - a[0] for a, b in pairs], "cpu": [b[1] - a[1] for a, b in pairs]}))


def write(folder: Path, case: Case) -> None:
    """Writes a tower and a language model of random weights."""
    config = case.tower()
    torch.manual_seed(0)
    (SwinModel if isinstance(config, SwinConfig) else CLIPVisionModel)(config).save_pretrained(folder / "tower")
    side = {"height": config.image_size, "width": config.image_size}
    CLIPImageProcessor(size=side, crop_size=side).save_pretrained(folder / "tower")
    tiny.write_language(folder / "language", **case.language)


def cxr(*arguments: object) -> str:
    """Runs a verb in a process of its own."""
    return python("-m", "cxr_lightning", *arguments)


def python(*arguments: object) -> str:
    """Runs this interpreter and returns what it printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return done.stdout


if __name__ == "__main__":
    main()
