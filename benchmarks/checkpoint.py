"""What a checkpoint weighs and how long training stands still for it, beside DeepSpeed's own.

python benchmarks/checkpoint.py [--learning 32] [--frozen 96] [--repeats 5]

One rank, ZeRO-2, float32 and bfloat16. DeepSpeed's is what Lightning's strategy writes: `engine.save_checkpoint`
without frozen parameters, which neither waits for the disk nor takes checksums; ours does both, and DeepSpeed's stands
there a second time with the wait for the disk. "Stands still" is the time until training may go on; "on disk" until the
checkpoint has its name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DS_ACCELERATOR", "cpu")

import deepspeed
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from cxr_lightning.checkpoint import optimizer, weights
from cxr_lightning.checkpoint.copies import HostCopies
from cxr_lightning.checkpoint.writing import Writer
from cxr_lightning.durable import sync
from cxr_lightning.training import partition

COPIES = HostCopies()
MILLION = 1_000_000
WIDTH = 1024


def make_engine(learning: float, frozen: float, dtype: torch.dtype) -> tuple[Any, dict[int, str]]:
    """Returns an engine after one step, and its learning parameters' names.

    Args:
        learning: Millions of parameters that learn.
        frozen: Millions that do not.
        dtype: What the model computes in.
    """
    layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(round((learning + frozen) * MILLION / WIDTH**2))]
    model = nn.Sequential(*layers).to(dtype)
    still = round(frozen * MILLION / WIDTH**2)
    model[:still].requires_grad_(False)
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": 2},
        "bf16": {"enabled": dtype == torch.bfloat16},
        "zero_allow_untested_optimizer": True,
    }
    engine, *_ = deepspeed.initialize(
        model=model,
        model_parameters=moving,
        optimizer=torch.optim.AdamW(moving),
        config=config,
        dist_init_required=False,
    )
    engine.backward(engine(torch.randn(1, WIDTH, dtype=dtype)).float().square().mean())
    engine.step()
    return engine, {id(each): name for name, each in engine.module.named_parameters() if each.requires_grad}


def theirs(engine: Any, names: dict[int, str], folder: Path, background: bool) -> tuple[float, float]:
    """Saves as Lightning's strategy does; returns the seconds of standing still and until all is written."""
    began = time.perf_counter()
    engine.save_checkpoint(str(folder), tag="checkpoint", exclude_frozen_parameters=True)
    took = time.perf_counter() - began
    return took, took


def theirs_on_disk(engine: Any, names: dict[int, str], folder: Path, background: bool) -> tuple[float, float]:
    """The same, and waits until the files are on disk."""
    began = time.perf_counter()
    engine.save_checkpoint(str(folder), tag="checkpoint", exclude_frozen_parameters=True)
    for path in folder.rglob("*"):
        sync(path)
    took = time.perf_counter() - began
    return took, took


def ours(engine: Any, names: dict[int, str], folder: Path, background: bool) -> tuple[float, float]:
    """Saves as `ZeroStrategy` does; returns the seconds of standing still and until the checkpoint has its name."""
    writer = Writer(background)
    writer.wait()
    began = time.perf_counter()
    learned = {name: each for name, each in engine.module.named_parameters() if each.requires_grad}
    tensors = {name: COPIES(name, each) for name, each in learned.items()}
    held = [fragment.copy(COPIES) for fragment in partition.fragments(engine, names)]
    files: dict[str, Callable[[Path], object]] = {
        "trainable.safetensors": lambda path: weights.save(path, tensors, base="benchmark"),
        optimizer.file_name(0, 1): lambda path: optimizer.save(path, held),
    }
    writer.write(folder, files, lambda: None)
    still = time.perf_counter() - began
    writer.wait()
    return still, time.perf_counter() - began


def measure(way: Callable[..., tuple[float, float]], background: bool, repeats: int, *made: Any) -> dict[str, float]:
    """Returns the medians of several saves and the bytes of one."""
    with tempfile.TemporaryDirectory(dir=".") as place:
        folder = Path(place) / "checkpoint"
        times = []
        for _ in range(repeats):
            shutil.rmtree(folder, ignore_errors=True)
            times.append(way(*made, folder, background))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    still, total = (statistics.median(column) for column in zip(*times, strict=True))
    return {"still": still, "total": total, "bytes": size}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--learning", type=float, default=32, help="millions of parameters that learn")
    parser.add_argument("--frozen", type=float, default=96, help="millions of frozen parameters")
    parser.add_argument("--repeats", type=int, default=5, help="saves of each kind; the median is shown")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    deepspeed.init_distributed("gloo")
    table = Table(title=f"{options.learning:g} million parameters learn, {options.frozen:g} million are frozen")
    for column in ("precision", "checkpoint", "MiB", "of what is needed", "stands still, s", "on disk, s"):
        table.add_column(column, justify="right" if column[0] in "Mos" else "left")
    for dtype, each in ((torch.float32, 4 + 8), (torch.bfloat16, 2 + 4 + 8)):
        engine, names = make_engine(options.learning, options.frozen, dtype)
        needed = each * sum(p.numel() for p in engine.module.parameters() if p.requires_grad)
        for name, way, background in (
            ("DeepSpeed's", theirs, False),
            ("DeepSpeed's, on disk", theirs_on_disk, False),
            ("ours", ours, False),
            ("ours, in the background", ours, True),
        ):
            found = measure(way, background, options.repeats, engine, names)
            table.add_row(
                str(dtype).removeprefix("torch."), name, f"{found['bytes'] / 2**20:.0f}",
                f"{found['bytes'] / needed:.3f}", f"{found['still']:.2f}", f"{found['total']:.2f}",
            )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
