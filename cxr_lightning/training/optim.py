"""AdamW with decay where decay helps, and learning rates by role that warm up linearly and fall along a cosine.

Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019) and SGDR (ICLR 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from cxr_lightning.model.families import ROLES, Role, VlmFamily, role_of
from cxr_lightning.model.trainable import Trainable

Kind = Literal["matrices", "vectors"]


class RateError(ValueError):
    """A learning rate is given for a role that does not learn."""


@dataclass(frozen=True)
class Rates:
    """Highest learning rates of single roles; None where the role has the common one.

    Attributes:
        vision: The vision tower's.
        projector: The projector's.
        language: The language model's.
    """

    vision: float | None = None
    projector: float | None = None
    language: float | None = None


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
        rates: Highest learning rates of roles that have their own; warm-up and fall are the same for all.
    """

    lr: float = 1e-4
    min_lr_ratio: float = 0.1
    warmup: float = 0.03
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    rates: Rates = Rates()

    def rate(self, role: Role) -> float:
        """Returns a role's highest learning rate."""
        own: float | None = getattr(self.rates, role)
        return self.lr if own is None else own

    def require_learning(self, trainable: Trainable) -> None:
        """Compares the rates with what learns.

        Raises:
            RateError: If a role that is frozen has a rate.
        """
        for role in ROLES:
            if getattr(self.rates, role) is not None and trainable.choice(role) == "frozen":
                raise RateError(
                    f"--model.optim.rates.{role} is {getattr(self.rates, role):g}, and {role} is frozen. Remedy: leave "
                    f"the rate out, or let {role} learn by --model.trainable.{role}."
                )

    def factor(self, step: int, steps: int) -> float:
        """Returns the learning rate at a step as a share of the highest."""
        warmup = int(self.warmup * steps) if self.warmup < 1 else int(self.warmup)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(named: Iterable[tuple[str, Tensor]], optim: Optim, family: VlmFamily) -> list[dict[str, Any]]:
    """Returns a group for each role's matrices, which decay, and one for its vectors, which do not.

    A group is named "role/matrices" or "role/vectors"; empty ones are left out. Vectors are biases, norms, and the
    magnitudes of DoRA.
    """
    groups: dict[tuple[Role, Kind], list[Tensor]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            dimensions = len(getattr(parameter, "ds_shape", parameter.shape))  # ZeRO-3 leaves a flat part of each
            kind: Kind = "matrices" if dimensions > 1 else "vectors"
            groups.setdefault((role_of(name, family), kind), []).append(parameter)
    kinds: tuple[Kind, ...] = ("matrices", "vectors")
    return [
        {
            "params": groups[role, kind],
            "lr": optim.rate(role),
            "weight_decay": optim.weight_decay if kind == "matrices" else 0.0,
            "name": f"{role}/{kind}",
        }
        for role in ROLES
        for kind in kinds
        if (role, kind) in groups
    ]


def make_optimizer(named: Iterable[tuple[str, Tensor]], optim: Optim, steps: int, family: VlmFamily) -> dict[str, Any]:
    """Returns optimizer and schedule as Lightning's `configure_optimizers` gives them.

    Args:
        named: The model's named parameters; those that learn are taken.
        optim: The settings.
        steps: Optimizer steps of the whole training.
        family: Which parameters are of which role.
    """
    optimizer = torch.optim.AdamW(parameter_groups(named, optim, family), lr=optim.lr, betas=optim.betas, eps=optim.eps)
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
