"""Seconds, CPU seconds, memory and losses of the steps of a training, as one JSON line on standard output."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from torch import nn

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Clock:
    """Counts from the end of the warm-up; the highest memory is taken over all steps, from their beginning.

    Args:
        warm: Steps that are not timed.
    """

    def __init__(self, warm: int) -> None:
        self.warm, self.steps, self.begun, self.cpu = warm, 0, 0.0, 0.0
        self.before = 0.0
        self.losses: list[float] = []
        self.wall: list[float] = []
        self.spent: list[float] = []

    def begin(self, model: nn.Module) -> None:
        """Is called when the model is loaded and the first step is about to be made.

        Args:
            model: Its weights are read once: mapped from a file, they take memory only when they are.
        """
        with torch.no_grad():
            sum(float(parameter.sum()) for parameter in model.parameters())
        self.before = _kilobytes("VmRSS")
        CLEAR.write_text("5")  # the highest so far is forgotten: loading has needed more than it keeps
        self.begun, self.cpu = time.perf_counter(), time.process_time()

    def step(self, loss: float) -> None:
        """Is called at the end of each step."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.losses.append(loss)
        if len(self.losses) > self.warm:
            self.wall.append(wall - self.begun)
            self.spent.append(cpu - self.cpu)
        self.begun, self.cpu = wall, cpu

    def answer(self, samples: int, **more: float) -> None:
        """Prints what was found.

        Args:
            samples: Samples of a step.
            more: What else there is to tell.
        """
        timed = samples * len(self.wall)
        peak = _kilobytes("VmHWM")
        found = {
            "rate": timed / sum(self.wall),
            "cpu_rate": timed / sum(self.spent),
            "peak_mib": peak / 1024,
            "grown_mib": (peak - self.before) / 1024,
            "losses": self.losses,
            **more,
        }
        print(json.dumps(found))


def _kilobytes(name: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return float(line.split()[1])
