"""What goes wrong in the ranks of a test, by the test's wish: see `tests.zygote`. Nothing of it is in the package."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def _at_step(happens: Callable[[Any, Any], Any], steps: list[int]) -> None:
    """Has something happen to the batch of some steps, counted from 1, before it is computed on."""
    from cxr_lightning.training.stage import StageModule

    train = StageModule.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.trainer.global_step + 1 in steps:
            happens(self, batch)
        return train(self, batch, batch_idx)

    StageModule.training_step = training_step


def poison(rank: int, on: int, steps: list[int], value: float = math.nan) -> None:
    """Puts a number that is none into a pixel of the first image."""

    def happens(module: Any, batch: Any) -> None:
        batch["inputs"]["pixel_values"][0, 0, 0, 0] = value

    if rank == on:
        _at_step(happens, steps)


def spoil(rank: int, on: int, steps: list[int]) -> None:
    """Makes a gradient infinite whose loss is not."""

    def happens(module: Any, batch: Any) -> None:
        learning = next(each for each in module.model.parameters() if each.requires_grad)
        hook = learning.register_hook(lambda gradient: (hook.remove(), gradient + math.inf)[1])

    if rank == on:
        _at_step(happens, steps)


def hang(rank: int, on: int, steps: list[int], seconds: float = 3600.0) -> None:
    """Waits in a step, as a disk that does not answer would have it."""
    if rank == on:
        _at_step(lambda module, batch: time.sleep(seconds), steps)


def fill(rank: int, on: int, folder: str, full: int, after: str, free: int | None = None) -> None:
    """Fills a disk to its last byte at a step, once a checkpoint is there, and makes room again at another."""
    ballast = Path(folder) / "ballast"

    def happens(module: Any, batch: Any) -> None:
        if module.trainer.global_step + 1 == free:
            ballast.unlink(missing_ok=True)
            return
        while not Path(after).exists():  # it is written in the background
            time.sleep(0.01)
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1000))

    if rank == on:
        _at_step(happens, [step for step in (full, free) if step is not None])


def slow(rank: int, seconds: float) -> None:
    """Makes every micro-batch take longer."""
    _at_step(lambda module, batch: time.sleep(seconds), list(range(1, 10_000)))


def age(rank: int, on: int) -> None:
    """Makes a rank's code another than that of the others."""
    from cxr_lightning.training import agreement

    if rank == on:
        agreement.source = lambda: "of-yesterday"


def stop(rank: int, on: int, steps: list[int], after: str) -> None:
    """Has somebody stop a rank's process, once a file is there."""

    def happens(module: Any, batch: Any) -> None:
        while not Path(after).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGSTOP)

    if rank == on:
        _at_step(happens, steps)


def keep(rank: int, on: int, steps: list[int]) -> None:
    """Waits in C code that does not let the interpreter go."""
    if rank == on:
        _at_step(lambda module, batch: ctypes.PyDLL(None).sleep(3600), steps)


def look_into(rank: int, on: int, steps: list[int], seconds: float) -> None:
    """Stands at a debugger's prompt."""
    prompt = {"__name__": "pdb", "time": time, "seconds": seconds}
    if rank == on:
        _at_step(lambda module, batch: exec("time.sleep(seconds)", prompt), steps)


def stick(rank: int) -> None:
    """Has the disk of the run not answer while the model is loaded."""
    from cxr_lightning.training import pulse, stacks
    from cxr_lightning.training.stage import StageModule

    def never(*_: Any) -> None:
        time.sleep(3600)

    pulse.tell = stacks.write = StageModule.configure_model = never


def fail(rank: int, on: int, steps: list[int]) -> None:
    """Has a rank fail in a way that nobody thought of."""

    def happens(module: Any, batch: Any) -> None:
        raise RuntimeError("nobody thought of this")

    if rank == on:
        _at_step(happens, steps)


def babble(rank: int, tokens: list[int]) -> None:
    """Has each rank's texts end after another number of tokens."""
    from cxr_lightning.training import panels

    panels.generate = partial(_as_long_as, panels.generate, tokens[rank])


def _as_long_as(generate: Callable[..., Any], tokens: int, *args: Any, **options: Any) -> Any:
    return generate(*args, **{**options, "max_new_tokens": tokens})
