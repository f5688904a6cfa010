"""Runs that are disturbed and the run that was not: what both are given, and how they are held against one another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from cxr_lightning.checkpoint.runs import checkpoint_folder
from cxr_lightning.shards.index import read_index
from tests.fitting import options

GLOBAL_BATCH = 8


def arguments(place, name: str, steps: int, *more: str) -> list[str]:
    root, shards, parts = place
    return [
        *options(1, shards, root / name, parts), "--trainer.devices", "2", "--trainer.max_steps", str(steps),
        "--data.epochs", str(1 + steps), "--data.global_batch", str(GLOBAL_BATCH), "--model.optim.lr", "0.002",
        "--checkpoint.every_n_steps", "2", "--validate_every_n_steps", "3", "--data.validate_samples", "8",
        "--ckpt_path", "auto", "--data.workers", "1", *more,
    ]  # fmt: skip


def run_whole(zygote, place, name: str, steps: int, *more: str) -> Path:
    root = place[0]
    seen = root / f"{name} seen"
    seen.mkdir()
    group = zygote.start(arguments(place, name, steps, *more), 2, root / f"{name}.log", seen=str(seen))
    assert zygote.wait(group) == [0, 0], (root / f"{name}.log").read_text()[-3000:]
    return root / name


def curve(run: Path) -> list[dict]:
    """Every logged figure that is no time, in order."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    timed = ("speed/", "data/wait", "memory/", "time/")
    return [{name: value for name, value in line.items() if not name.startswith(timed)} for line in lines]


def keys_by_step(root: Path, name: str) -> dict[int, list[str]]:
    """The samples that each step was made of, the last time that it was made."""
    made: dict[tuple[int, int, int], list[str]] = {}
    for rank, file in enumerate(sorted((root / f"{name} seen").glob("rank-*.jsonl"))):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            made[(entry["step"], rank, entry["batch"])] = entry["keys"]
    found: dict[int, list[str]] = {}
    for (step, _, _), keys in sorted(made.items()):
        found.setdefault(step, []).extend(keys)
    return found


def assert_same_end(place, whole: Path, killed: Path, steps: int) -> None:
    assert curve(killed) == curve(whole)
    assert len([line for line in curve(killed) if "train/loss" in line]) == steps
    here, there = checkpoint_folder(killed, steps), checkpoint_folder(whole, steps)
    names = sorted(path.name for path in there.iterdir())
    assert sorted(path.name for path in here.iterdir()) == names
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes(), name
    root, shards, _ = place
    seen = keys_by_step(root, killed.name)
    assert seen == keys_by_step(root, whole.name)
    stream = [key for step in sorted(seen) for key in seen[step]]
    samples = len(read_index(shards).split("train"))
    for epoch in range(len(stream) // samples):
        counted = Counter(stream[epoch * samples : (epoch + 1) * samples])
        assert len(counted) == samples
        assert set(counted.values()) == {1}
