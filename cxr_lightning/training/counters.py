"""Lightning's loop counters as they stand after an optimizer step.

They follow from the step alone, so a checkpoint does not store them: stored ones count micro-batches of one number of
ranks, and note whether a save came before or after a validation, which a resumed run would then repeat or miss.
"""

from __future__ import annotations

from typing import Any


def stepped(trainer: Any, batch_idx: int) -> bool:
    """Returns whether an optimizer step ended with a micro-batch."""
    return bool((batch_idx + 1) % trainer.accumulate_grad_batches == 0)


def loops_after(fresh: dict[str, Any], step: int, accumulation: int) -> dict[str, Any]:
    """Returns the state of Lightning's fit loop after a step and all that belongs to it.

    Args:
        fresh: The fit loop's `state_dict()` before training; it is filled in.
        step: Optimizer steps done.
        accumulation: Micro-batches a step now has.
    """
    batches = step * accumulation
    _count(fresh["epoch_loop.batch_progress"], batches)
    fresh["epoch_loop.batch_progress"]["is_last_batch"] = False  # the end is open: a run may go on to further epochs
    _count(fresh["epoch_loop.scheduler_progress"], step)
    optimizer = fresh["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    _count(optimizer["step"], step)
    _count(optimizer["zero_grad"], step)
    fresh["epoch_loop.state_dict"]["_batches_that_stepped"] = step
    for progress in (fresh["epoch_progress"]["total"], fresh["epoch_progress"]["current"]):
        progress.update(ready=1, started=1)  # in the middle of the one long epoch
    return fresh


def _count(progress: dict[str, Any], number: int) -> None:
    for name in ("total", "current"):
        progress[name] = dict.fromkeys(progress[name], number)
