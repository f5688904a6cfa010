"""Which stretches of the optimizer's state this rank holds: DeepSpeed's four layouts in one list of fragments.

Read from the engine's own bookkeeping (deepspeed 0.19: runtime/zero/stage_1_and_2.py and stage3.py,
utils/tensor_fragment.py, runtime/fp16/unfused_optimizer.py). ZeRO 1 and 2 lay a group's parameters end to end and cut
the row into one piece a rank, so a parameter may lie on several ranks; ZeRO 3 cuts each parameter for itself; stage 0
divides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from cxr_lightning.checkpoint.optimizer import MASTER, Fragment, empty_like

MOMENTS = ("exp_avg", "exp_avg_sq")


class UnknownOptimizerError(ValueError):
    """DeepSpeed chose an optimizer whose state this version does not know how to save."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of a parameter and where its optimizer keeps it.

    Attributes:
        name: The parameter.
        start: Where in the flattened parameter it begins.
        length: How many numbers it has.
        tensor: The tensor that AdamW moves.
        offset: Where in that tensor, flattened, the stretch begins.
        half: Whether the model computes with a half-precision copy.
    """

    name: str
    start: int
    length: int
    tensor: Tensor
    offset: int
    half: bool


def require_known(optimizer: Any) -> None:
    """Refuses an optimizer whose state could not be saved, before hours are spent on it.

    Raises:
        UnknownOptimizerError: If the layout is none of the four.
    """
    known = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups")
    if not isinstance(optimizer, torch.optim.Optimizer) and not any(hasattr(optimizer, name) for name in known):
        raise UnknownOptimizerError(
            f"The state of DeepSpeed's {type(optimizer).__name__} cannot be saved by this version. "
            "Remedy: set strategy.stage to 2 or 3."
        )


def stretches(engine: Any, names: dict[int, str]) -> list[Stretch]:
    """Returns what this rank holds.

    Args:
        engine: The DeepSpeed engine.
        names: The learning parameters' names by `id`.
    """
    optimizer = engine.optimizer
    if hasattr(optimizer, "fp32_partitioned_groups_flat"):
        found = _zero_3(optimizer, names)
    elif hasattr(optimizer, "single_partition_of_fp32_groups"):
        found = _zero_1_2(optimizer, names)
    elif hasattr(optimizer, "fp32_groups"):
        found = _whole(zip(chain(*optimizer.fp16_groups), chain(*optimizer.fp32_groups), strict=True), names)
    else:
        learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        found = _whole(zip(learning, learning, strict=True), names)
    return list(found)


def _zero_1_2(optimizer: Any, names: dict[int, str]) -> Iterator[Stretch]:
    groups = zip(optimizer.bit16_groups, optimizer.single_partition_of_fp32_groups, strict=True)
    for parameters, flat in groups:
        for parameter in parameters:
            held = parameter._hp_mapping
            if held is not None:  # else it lies on other ranks
                inside, kept = held.lp_fragment_address, held.hp_fragment_address
                half = parameter.dtype != torch.float32
                yield Stretch(names[id(parameter)], inside.start, inside.numel, flat, kept.start, half)


def _zero_3(optimizer: Any, names: dict[int, str]) -> Iterator[Stretch]:
    for parameters in optimizer.fp16_groups:
        for parameter in parameters:
            group, offset, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
            start = size * optimizer._get_param_partition_rank(parameter)
            length = min(size, parameter.ds_numel - start)  # the last piece is padded
            if length > 0:
                flat, half = optimizer.fp32_partitioned_groups_flat[group], parameter.dtype != torch.float32
                yield Stretch(names[id(parameter)], start, length, flat, offset, half)


def _whole(pairs: Any, names: dict[int, str]) -> Iterator[Stretch]:
    for parameter, moved in pairs:
        half = parameter.dtype != torch.float32
        yield Stretch(names[id(parameter)], 0, parameter.numel(), moved, 0, half)


def held_by_all(engine: Any) -> bool:
    """Returns whether every rank holds everything, so that one of them saves it."""
    return not hasattr(engine.optimizer, "fp32_partitioned_groups_flat") and not hasattr(
        engine.optimizer, "single_partition_of_fp32_groups"
    )


def fragments(engine: Any, names: dict[int, str]) -> list[Fragment]:
    """Returns this rank's optimizer state as views: what is written to them, the optimizer has."""
    state = engine.basic_optimizer.state
    found = []
    for each in stretches(engine, names):
        tensors = {kind: state[each.tensor][kind] for kind in MOMENTS}
        if each.half:  # in float32 the weights themselves are what AdamW moves, and they are saved already
            tensors[MASTER] = each.tensor.data
        views = {kind: tensor.view(-1)[each.offset : each.offset + each.length] for kind, tensor in tensors.items()}
        found.append(Fragment(each.name, each.start, views))
    return found


def make_state(engine: Any, names: dict[int, str]) -> None:
    """Gives the optimizer the state that it makes at its first step, where it has none yet."""
    state = engine.basic_optimizer.state
    for each in stretches(engine, names):
        if "exp_avg" not in state[each.tensor]:
            state[each.tensor] = empty_like(each.tensor.data)


def set_steps(engine: Any, names: dict[int, str], step: int) -> None:
    """Makes AdamW count a number of steps as taken: its averages are corrected by it."""
    state = engine.basic_optimizer.state
    for each in stretches(engine, names):
        state[each.tensor]["step"].fill_(step)


def forget_first_step(engine: Any) -> None:
    """Takes back the step that DeepSpeed makes with stage 0 in half precision when it is built.

    It would move the masters by the weight decay, and AdamW would count one step too many.
    """
    optimizer = engine.optimizer
    if hasattr(optimizer, "fp32_groups") and hasattr(optimizer, "fp16_groups"):
        engine.basic_optimizer.state.clear()
        for computed, moved in zip(chain(*optimizer.fp16_groups), chain(*optimizer.fp32_groups), strict=True):
            moved.data.copy_(computed.data)


def steps_taken(engine: Any) -> int:
    """Returns how many steps AdamW has taken: fewer than the run's where half precision overflowed."""
    taken = [int(state["step"]) for state in engine.basic_optimizer.state.values() if "step" in state]
    return max(taken, default=0)


_SCALE = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")


def loss_scale(engine: Any) -> dict[str, Any]:
    """Returns where half precision's loss scaling stands; empty where there is none."""
    scaler = _scaler(engine.optimizer)
    return {name: getattr(scaler, name) for name in _SCALE if hasattr(scaler, name)}


def _scaler(optimizer: Any) -> Any:
    return getattr(optimizer, "loss_scale_config", None) or getattr(optimizer, "loss_scaler", optimizer)


def set_loss_scale(engine: Any, saved: dict[str, Any]) -> None:
    """Goes on with a saved loss scale."""
    scaler = _scaler(engine.optimizer)
    for name, value in saved.items():
        if hasattr(scaler, name):
            setattr(scaler, name, value)
