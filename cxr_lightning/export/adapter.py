"""What was learned alone, as a PEFT adapter, for servers that load LoRA beside a base at run time.

An adapter is only what it is beside: where anything else was learned (a projector, a module in full) it would be served
beside weights that it was never learned with, and answer at random. So that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from cxr_lightning.checkpoint import weights
from cxr_lightning.checkpoint.runs import WEIGHTS
from cxr_lightning.export.lending import in_float32
from cxr_lightning.export.pages import Pages
from cxr_lightning.export.proof import Check, prove_merge
from cxr_lightning.export.trained import Base
from cxr_lightning.export.trial import Inputs, trial_logits
from cxr_lightning.model.families import role_of
from cxr_lightning.model.lora import ADAPTER, Lora, Loras, loras_from_json
from cxr_lightning.shards.durable import sync

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


class NoAdapterError(ValueError):
    """What a run learned is not an adapter alone."""


def require_adapter(base: Base, checkpoint: Path) -> None:
    """Refuses to part adapters from what else was learned.

    Args:
        base: The model that the run began with.
        checkpoint: The checkpoint's folder.

    Raises:
        NoAdapterError: If other weights were learned too, there is no adapter, or PEFT cannot say it in one.
    """
    path = checkpoint / WEIGHTS
    learned = weights.names(path)
    own = [name for name in learned if not weights.is_adapter(name)]
    merged = "Remedy: export it merged, without --adapter"
    if own:
        roles = sorted({role_of(name, base.family) for name in own})
        option = " or train with --model.trainable.projector frozen" if roles == ["projector"] else ""
        whole = "" if base.source.base or base.source.text_only else ", and the base is two parts that nobody serves"
        raise NoAdapterError(
            f"{path}: {' and '.join(roles)} learned too ({len(own)} tensors){whole}; beside the untrained ones an "
            f"adapter would answer at random. {merged},{option or ' as one model'}."
        )
    if len(own) == len(learned):
        raise NoAdapterError(f"{path} holds no adapter. {merged}.")
    kinds = {(lora.dora, lora.rslora) for lora in loras_from_json(weights.lora_of(path)).values()}
    if len(kinds) > 1:
        raise NoAdapterError(f"{path}: its roles learned by different kinds of LoRA, which PEFT keeps apart. {merged}.")


def write_adapter(folder: Path, base: Base, loras: Loras) -> None:
    """Writes a trained model's adapters as PEFT does, its processor beside them.

    Args:
        folder: Where to.
        base: The trained model.
        loras: The adapters' settings by role.
    """
    state = {name: each.detach() for name, each in base.model.named_parameters() if weights.is_adapter(name)}
    save_file({_theirs(name): each.contiguous() for name, each in state.items()}, folder / TENSORS, {"format": "pt"})
    sync(folder / TENSORS)
    layers = sorted({name.partition(".lora_")[0] for name in state})
    first = next(iter(loras.values()))
    ranks, alphas = _patterns(layers, loras, first, base)
    config = LoraConfig(
        base_model_name_or_path=base.source.base or base.source.language,
        task_type=None,
        inference_mode=True,
        r=first.rank,
        lora_alpha=first.alpha,
        use_rslora=first.rslora,
        use_dora=first.dora,
        target_modules=layers,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        bias="none",
    )
    config.save_pretrained(folder)
    content = json.loads((folder / CONFIG).read_text())
    content["target_modules"] = layers  # a set has an order of chance, and equal adapters shall be equal bytes
    (folder / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    base.processor.save_pretrained(folder)


def _theirs(name: str) -> str:
    """Returns PEFT's name of an adapter's weight on disk; of DoRA's magnitudes it leaves out `weight`."""
    short = name.replace(f".{ADAPTER}", "")
    return _PREFIX + (short.removesuffix(".weight") if ".lora_magnitude_vector." in short else short)


def _patterns(layers: list[str], loras: Loras, first: Lora, base: Base) -> tuple[dict[str, int], dict[str, int]]:
    """Returns rank and alpha of the layers that differ from the first role's."""
    ranks: dict[str, int] = {}
    alphas: dict[str, int] = {}
    for layer in layers:
        lora = loras[role_of(f"{layer}.weight", base.family)]
        if lora.rank != first.rank:
            ranks[layer] = lora.rank
        if lora.alpha != first.alpha:
            alphas[layer] = lora.alpha
    return ranks, alphas


def prove_adapter(
    folder: Path, base: Base, prompts: Sequence[Inputs], trained: Sequence[Tensor], untrained: Sequence[Tensor]
) -> list[Check]:
    """Puts an adapter beside a fresh base by PEFT and compares it with the trained model, in float32.

    Args:
        folder: The adapter's folder.
        base: The trained model.
        prompts: What to try it on.
        trained: The trained model's logits on that.
        untrained: The base's.

    Raises:
        ExportNotProvenError: If it is another model.
    """
    auto: Any = AutoModelForCausalLM if base.source.text_only else AutoModelForImageTextToText
    fresh = auto.from_pretrained(base.source.base or base.source.language, dtype="auto")
    model = PeftModel.from_pretrained(fresh, folder).eval()
    with in_float32(model.get_base_model(), base.read, Pages()):
        beside = [trial_logits(model, prompt, torch.float32) for prompt in prompts]
    return [prove_merge(beside, trained, untrained, "logits beside the base are the trained model's")]
