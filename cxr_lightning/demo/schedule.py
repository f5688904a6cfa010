"""What the demo's two small trainings share: the order of lessons, the optimizer and its rate, the progress bar."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import nn
from torch.optim import AdamW

log = logging.getLogger(__name__)


class Shuffle:
    """Deals the numbers below `count` in random order, all of them before any comes again.

    Args:
        count: How many there are.
        rng: Where the order comes from.
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._count, self._rng = count, rng
        self._left: list[int] = []

    def take(self, size: int) -> list[int]:
        """Deals the next `size` numbers."""
        while len(self._left) < size:
            self._left = [int(number) for number in self._rng.permutation(self._count)] + self._left
        dealt, self._left = self._left[-size:], self._left[:-size]
        return dealt


def make_adamw(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> AdamW:
    """Returns AdamW in which matrices decay and vectors (biases, norms) do not; short trainings want short averages."""
    learning = list(parameters)
    groups = [
        {"params": [parameter for parameter in learning if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in learning if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=lr, betas=(0.9, 0.98))


def warm_cosine(optimizer: AdamW, lr: float, step: int, steps: int, warmup: int = 100) -> None:
    """Sets the learning rate of a step: up in a line, then down a cosine.

    Args:
        optimizer: The optimizer.
        lr: Highest learning rate.
        step: The step that comes, from 0.
        steps: Steps of the whole training.
        warmup: Steps of the way up; a training shorter than ten times that takes a tenth of itself.
    """
    warmup = min(warmup, max(1, steps // 10))
    rate = lr * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = rate


def progress_bar() -> Progress:
    """Returns a progress bar that writes to stderr, so that stdout stays the caller's."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def tell(bar: Progress, task: TaskID, name: str, step: int, steps: int, loss: float) -> None:
    """Moves the bar on; where nobody sees a bar, says every twentieth of the way how far the training is."""
    bar.update(task, advance=1, description=f"{name}, loss {loss:.2f}")
    if not bar.console.is_terminal and (step + 1) % max(1, steps // 20) == 0:
        log.info("%s %d/%d, loss %.2f", name, step + 1, steps, loss)
