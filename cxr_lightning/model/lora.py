"""LoRA: a low-rank update B A beside each frozen matrix W, so that y = W x + (alpha / r) B A x.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022. The adapters are PEFT's, put into the model in
place: forward, saving and merging then see one ordinary module tree. Each role has its own settings: PEFT's patterns
know rank and alpha only, so each role is a configuration of its own, all under one adapter name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

if not torch.cuda.is_available():  # PEFT imports DeepSpeed, which looks for an accelerator and warns that it guesses
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

from peft import LoraConfig, inject_adapter_in_model

from cxr_lightning.model.families import ROLES, Role, VlmFamily, role_of

ADAPTER = "default"


class NoLoraTargetError(ValueError):
    """No linear layer of the model matches the LoRA targets."""


@dataclass(frozen=True)
class Lora:
    """Size and place of the adapters.

    Attributes:
        rank: Inner width r of the update.
        alpha: Scale; the update is multiplied by alpha / rank.
        dropout: Dropout on the input of A while training.
        targets: Last names of the linear layers to adapt (`q_proj`, ...); empty adapts every linear layer of the role.
        rslora: Scale by alpha / sqrt(rank) instead (Kalajdzievski 2023), for large ranks.
        dora: Learn each output's magnitude apart from its direction (Liu et al., DoRA, ICML 2024): y is m (W + s B A) x
            divided by the norm of W + s B A's rows. Slower by one product of the size of W a layer.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    rslora: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"lora.rank={self.rank}: a rank is 1 or more. Remedy: freeze the role to go without.")

    @property
    def scale(self) -> float:
        """The factor on B A."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    def __str__(self) -> str:
        kind = "DoRA" if self.dora else "LoRA"
        more = [f"dropout {self.dropout:g}"] if self.dropout else []
        more += ["rsLoRA"] if self.rslora else []
        more += [f"on {', '.join(self.targets)}"] if self.targets else []
        return ", ".join([f"{kind}, rank {self.rank}, alpha {self.alpha}", *more])

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as they stand in `run.json`."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Lora:
        """Reads back what `to_json` wrote."""
        return cls(**{**values, "targets": tuple(values["targets"])})


Loras = Mapping[Role, Lora]
"""The adapters' settings of every role that learns by LoRA."""


def loras_to_json(loras: Loras) -> dict[str, Any] | None:
    """Returns the settings by role as they stand in `run.json` and beside the weights; None where there are none."""
    return {role: lora.to_json() for role, lora in sorted(loras.items())} or None


def loras_from_json(values: Mapping[str, Any] | None) -> dict[Role, Lora]:
    """Reads back what `loras_to_json` wrote."""
    found: dict[Role, Lora] = {}
    for role in ROLES:
        if values is not None and role in values:
            found[role] = Lora.from_json(values[role])
    return found


def add_adapters(model: nn.Module, loras: Loras, family: VlmFamily, *, empty: bool = False) -> None:
    """Puts adapters into the linear layers of the roles that have settings, in place; lm_head is left alone.

    PEFT freezes everything but the adapters, so call this before other parameters are set to learn.

    Args:
        model: The model.
        loras: The settings of each role that has adapters.
        family: Which layers are of which role.
        empty: Leave them on the device `meta`, where learned ones are about to be put.

    Raises:
        NoLoraTargetError: If no layer of a role matches.
    """
    linear = [name for name, each in model.named_modules() if isinstance(each, nn.Linear)]
    linear = [name for name in linear if not name.endswith("lm_head")]
    for role in ROLES:  # one order, whatever the mapping's: adapters are drawn alike on every rank
        if role in loras:
            layers = [name for name in linear if role_of(f"{name}.weight", family) == role]
            _add(model, loras[role], role, layers, empty=empty)


def _add(model: nn.Module, lora: Lora, role: Role, layers: list[str], *, empty: bool) -> None:
    chosen = [name for name in layers if not lora.targets or name.rsplit(".", 1)[-1] in lora.targets]
    if not chosen:
        known = sorted({name.rsplit(".", 1)[-1] for name in layers})
        option = "--model.vision_lora.targets or --model.lora.targets" if role == "vision" else "--model.lora.targets"
        raise NoLoraTargetError(
            f"No linear layer of {role} is called {', '.join(lora.targets)}; its layers are called "
            f"{', '.join(known) or '(there are none)'}. "
            f"Remedy: set {option} to some of these, or leave it empty for all."
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        target_modules=chosen,
        bias="none",
    )
    inject_adapter_in_model(config, model, adapter_name=ADAPTER, low_cpu_mem_usage=empty)
    del model.peft_config  # PEFT's note of this role's settings; it would take the next role's for a second adapter
