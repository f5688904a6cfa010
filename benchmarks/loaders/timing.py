"""What every way of reading shares: the wanted batches, the clock, and the answer on standard output."""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

SIDE, BATCH, WARM = 224, 32, 3
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def run(prepare: Callable[[Path, Path], None] | None, batches: Callable[[Path, int], Iterator[torch.Tensor]]) -> None:
    """Answers `prepare FILES DATA` or `measure DATA --workers N`: images a second and CPU time, as one JSON line.

    Args:
        prepare: Writes the data in the loader's own format from a folder of JPEG files.
        batches: Reads it once: normalised floats of shape (BATCH, 3, SIDE, SIDE).
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("prepare", "measure"))
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--workers", type=int, default=0)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if asked.task == "prepare":
        if prepare is not None:
            prepare(*asked.paths)
        return
    print(json.dumps(measure(batches(asked.paths[0], asked.workers))))


def measure(batches: Iterator[torch.Tensor]) -> dict[str, float]:
    """Times all batches but the first few, which start the workers."""
    images, begun, cpu = 0, 0.0, 0.0
    for number, batch in enumerate(batches):
        assert batch.shape[1:] == (3, SIDE, SIDE), batch.shape
        assert batch.dtype == torch.float32
        if number == WARM - 1:
            begun, cpu = time.perf_counter(), _cpu()
        elif number >= WARM:
            images += len(batch)
    if not images:
        raise SystemExit(f"more than {WARM} batches of {BATCH} images are needed")
    seconds = time.perf_counter() - begun
    del batches  # workers end, and their time is known
    return {"rate": images / seconds, "images": images, "mean": float(batch.mean()), "cpu": _cpu() - cpu}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
