"""AdamW with decay where decay helps, and a learning rate that warms up linearly and falls along a cosine.

Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019) and SGDR (ICLR 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optim:
    """The optimizer's settings.

    Attributes:
        lr: Highest learning rate.
        min_lr_ratio: Last learning rate as a share of the highest.
        warmup: Steps of linear warm-up; a value below 1 is a share of all steps.
        weight_decay: Decay of matrices; vectors (biases, norms) never decay.
        betas: AdamW's averages.
        eps: AdamW's floor.
    """

    lr: float = 1e-4
    min_lr_ratio: float = 0.1
    warmup: float = 0.03
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def factor(self, step: int, steps: int) -> float:
        """Returns the learning rate at a step as a share of the highest."""
        warmup = int(self.warmup * steps) if self.warmup < 1 else int(self.warmup)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def decay_groups(named: Iterable[tuple[str, Tensor]], weight_decay: float) -> list[dict[str, Any]]:
    """Returns parameter groups: matrices decay, vectors (biases, norms) do not; empty groups are left out."""
    learning = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    dims = {name: len(getattr(parameter, "ds_shape", parameter.shape)) for name, parameter in learning}
    matrices = [parameter for name, parameter in learning if dims[name] > 1]
    vectors = [parameter for name, parameter in learning if dims[name] <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay, "name": "matrices"},
        {"params": vectors, "weight_decay": 0.0, "name": "vectors"},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(named: Iterable[tuple[str, Tensor]], optim: Optim, steps: int) -> dict[str, Any]:
    """Returns optimizer and schedule as Lightning's `configure_optimizers` gives them.

    Args:
        named: The model's named parameters; those that learn are taken.
        optim: The settings.
        steps: Optimizer steps of the whole training.
    """
    optimizer = torch.optim.AdamW(
        decay_groups(named, optim.weight_decay), lr=optim.lr, betas=optim.betas, eps=optim.eps
    )
    scheduler = LambdaLR(optimizer, lambda step: optim.factor(step, steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def schedule_at(scheduler: LambdaLR, step: int) -> dict[str, Any]:
    """Sets the rates as they are after a step, and returns the schedule's state there.

    The rate follows from the step and the settings, so a checkpoint does not store it: other settings hold from the
    step at which a run goes on with them.

    Args:
        scheduler: A fresh schedule.
        step: Optimizer steps done.
    """
    pairs = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    rates = [base * factor(step) for base, factor in pairs]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    return {**scheduler.state_dict(), "last_epoch": step, "_step_count": step + 1, "_last_lr": rates}
