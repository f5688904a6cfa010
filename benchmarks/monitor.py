"""What watching a run costs: figures, curves, choices, progress bar; with and without, by turns in one run.

python benchmarks/monitor.py [--steps 80] [--width 256] [--layers 6] [--every 10] [--json FILE]

Windows of `--every` steps are watched and not watched by turns. Two answers are printed: the time spent in all hooks of
what watches, as a share of the step (exact, but blind to what threads do beside it), and the difference of the median
step with and without (blind to nothing, but below some percent only noise on a machine that others use as well).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import lightning.pytorch as pl

from cxr_lightning.model import tiny
from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.packing import pack
from cxr_lightning.training.board import Board
from cxr_lightning.training.fit import open_cli, quiet
from cxr_lightning.training.monitor import Monitor
from cxr_lightning.training.profiling import Profiling
from cxr_lightning.training.progress import Progress

ROOT = Path(__file__).parent.parent
WATCHING = (Monitor, Board, Progress, Profiling)
HOOKS = ("on_train_batch_start", "on_train_batch_end")


class Turns(pl.Callback):
    """Switches watching on and off by windows, and times steps and hooks.

    Args:
        every: Steps of a window.
        accumulate: Micro-batches of a step.
    """

    def __init__(self, every: int, accumulate: int) -> None:
        self.every, self.accumulate = every, accumulate
        self.steps: dict[bool, list[float]] = {True: [], False: []}
        self.inside = 0.0
        self._inside_before = 0.0
        self.hooks: list[float] = []
        self._began = 0.0

    def on(self, batch: int) -> bool:
        """Returns whether a micro-batch is watched."""
        return batch // self.accumulate // self.every % 2 == 0

    def wrap(self, callback: pl.Callback) -> None:
        """Times a callback's hooks, and leaves them out when it is not their turn."""
        for name in HOOKS:
            hook = getattr(callback, name)

            def timed(*args: Any, _hook: Any = hook, **kwargs: Any) -> None:
                if self.on(args[-1] if isinstance(args[-1], int) else kwargs["batch_idx"]):
                    began = time.perf_counter()
                    _hook(*args, **kwargs)
                    self.inside += time.perf_counter() - began

            setattr(callback, name, timed)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begins a step's clock."""
        if batch_idx % self.accumulate == 0:
            now = time.perf_counter()
            step = batch_idx // self.accumulate
            if step > 2:  # the first ones warm up
                watched = self.on(batch_idx - 1)
                self.steps[watched].append(now - self._began)
                if watched:
                    self.hooks.append(self.inside - self._inside_before)
            self._began, self._inside_before = now, self.inside


def measure(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Trains and returns the figures."""
    quiet()
    sets = []
    for number, name in enumerate(("ward", "clinic")):
        draw(folder / name, studies=60, seed=number, size=64, workers=1)
        pack("table", folder / name, out=folder / "shards" / name, size=64, workers=1)
        sets.append(f"  - path: {folder / 'shards' / name}\n")
    (folder / "two.yaml").write_text("data:\n  shards:\n" + "".join(sets))
    tower = tiny.write_tower(folder / "tower", "siglip", width=args.width, image_size=64)
    language = tiny.write_language(folder / "language", width=args.width, layers=args.layers)
    cli = open_cli(
        [
            "--config", str(ROOT / "configs/stage1.yaml"), "--config", str(ROOT / "configs/scale/cpu.yaml"),
            "--config", str(folder / "two.yaml"), "--run", str(folder / "run"), "--trainer.devices", "1",
            "--model.source.vision", str(tower), "--model.source.language", str(language),
            "--data.global_batch", "8", "--data.micro_batch", "4", "--data.epochs", "1000", "--data.workers", "1",
            "--trainer.max_steps", str(args.steps), "--trainer.log_every_n_steps", str(args.every),
            "--data.validate_samples", "0", "--checkpoint.every_n_steps", "1000000",
        ]
    )  # fmt: skip
    turns = Turns(args.every, 2)
    for callback in cli.trainer.callbacks:
        if isinstance(callback, WATCHING):
            turns.wrap(callback)
    cli.trainer.callbacks.append(turns)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    watched, alone = (statistics.median(turns.steps[on]) for on in (True, False))
    hooks = statistics.mean(turns.hooks)
    return {
        "steps": len(turns.steps[True]) + len(turns.steps[False]),
        "step_ms": 1e3 * alone,
        "step_watched_ms": 1e3 * watched,
        "hooks_ms": 1e3 * hooks,
        "hooks_share": hooks / alone,
        "difference_share": watched / alone - 1,
    }


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    print(f"step without: {found['step_ms']:.1f} ms, with: {found['step_watched_ms']:.1f} ms (medians)")
    print(f"in hooks: {found['hooks_ms']:.3f} ms a step = {100 * found['hooks_share']:.3f} % of the step")
    print(f"difference of medians: {100 * found['difference_share']:+.2f} % of the step")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
