"""Runs `cxr fit` as a user does, and reads what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = {0: "configs/stage0.yaml", 1: "configs/stage1.yaml", 2: "configs/stage2.yaml"}


LAUNCHED = (
    "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
)  # fmt: skip
"""What a fit inside this process leaves in the environment; whoever inherited it would take its port for its own."""


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of a process that starts ranks of its own."""
    return {**{name: value for name, value in os.environ.items() if name not in LAUNCHED}, **more}


def cxr(*args: object, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a verb in a process of its own."""
    command = [sys.executable, "-m", "cxr_lightning", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=ROOT, env=environment())
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def options(
    stage: int, shards: Path, run: Path, parts: dict[str, str] | None = None, tower: str = "siglip"
) -> list[str]:
    """Returns the arguments of a tiny `cxr fit` on CPU ranks: the shipped stage and scale, and tiny parts."""
    chosen = [
        "--config", STAGES[stage], "--config", "configs/scale/cpu.yaml",
        "--data.shards", str(shards), "--run", str(run),
        "--data.global_batch", "8", "--data.micro_batch", "2",
        "--trainer.log_every_n_steps", "1", "--panels.studies", "0",
    ]  # fmt: skip
    if parts is not None:
        chosen += ["--model.source.vision", parts[tower], "--model.source.language", parts["language"]]
    if stage == 2:
        chosen += ["--model.lora.rank", "4", "--model.lora.alpha", "8"]
    return chosen


def losses(run: Path) -> dict[int, float]:
    """Returns the training loss of each step."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def gradient_norms(run: Path) -> dict[int, float]:
    """Returns the norm of the gradient of each step, before clipping."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["train/grad_norm"] for line in lines if "train/grad_norm" in line}


def run_ranks(ranks: int, fits: list[list[str]], folder: Path) -> None:
    """Runs fits one after another in one group of ranks."""
    listed = folder / f"fits-{ranks}-{len(fits)}.json"
    listed.write_text(json.dumps(fits))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [sys.executable, *launch, "tests/ranks.py", str(listed)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, cwd=ROOT, env=environment(PYTHONPATH=str(ROOT))
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]


def train_both(shards: Path, parts: dict[str, str], folder: Path) -> dict[str, Path]:
    """Trains both stages for a few steps on one rank."""
    few = ["--trainer.devices", "1", "--trainer.max_steps", "6", "--checkpoint.every_n_steps", "3"]
    few += ["--model.optim.lr", "0.02"]
    first = [*options(1, shards, folder / "stage1", parts), *few]
    second = [*options(2, shards, folder / "stage2"), "--model.init_from", str(folder / "stage1"), *few]
    run_ranks(1, [first, second], folder)
    return {"stage1": folder / "stage1", "stage2": folder / "stage2"}
