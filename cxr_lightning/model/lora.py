"""LoRA: a low-rank update B A beside each frozen matrix W, so that y = W x + (alpha / r) B A x.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022. The adapters are PEFT's, put into the model in
place: forward, saving and merging then see one ordinary module tree.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

if not torch.cuda.is_available():  # PEFT imports DeepSpeed, which looks for an accelerator and warns that it guesses
    os.environ.setdefault("DS_ACCELERATOR", "cpu")

from peft import LoraConfig, inject_adapter_in_model

from cxr_lightning.model.families import Role, VlmFamily, role_of

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
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    rslora: bool = False

    @property
    def scale(self) -> float:
        """The factor on B A."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as they stand in `run.json`."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Lora:
        """Reads back what `to_json` wrote."""
        return cls(**{**values, "targets": tuple(values["targets"])})


def add_adapters(model: nn.Module, lora: Lora, roles: tuple[Role, ...], family: VlmFamily) -> None:
    """Puts adapters into the linear layers of the given roles, in place; lm_head is left alone.

    PEFT freezes everything but the adapters, so call this before other parameters are set to learn.

    Raises:
        NoLoraTargetError: If no layer matches.
    """
    linear = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and name != "lm_head"
    }
    in_role = [name for name in linear if role_of(f"{name}.weight", family) in roles]
    chosen = [name for name in in_role if not lora.targets or name.rsplit(".", 1)[-1] in lora.targets]
    if not chosen:
        known = sorted({name.rsplit(".", 1)[-1] for name in in_role})
        raise NoLoraTargetError(
            f"No linear layer of {', '.join(roles)} is called {', '.join(lora.targets)}; its layers are called "
            f"{', '.join(known) or '(there are none)'}. "
            "Remedy: set --model.lora.targets to some of these, or leave it empty for all."
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=chosen,
        bias="none",
    )
    inject_adapter_in_model(config, model, adapter_name=ADAPTER)
