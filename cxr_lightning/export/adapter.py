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
from cxr_lightning.durable import sync
from cxr_lightning.export.lending import in_float32
from cxr_lightning.export.proof import Check, prove_merge
from cxr_lightning.export.trained import Model, steadied
from cxr_lightning.export.trial import Inputs, trial_logits
from cxr_lightning.model.families import role_of
from cxr_lightning.model.lora import ADAPTER, Lora, loras_from_json
from cxr_lightning.model.opening import stored_as

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


class NoAdapterError(ValueError):
    """What a run learned is not an adapter alone."""


def require_adapter(base: Model, checkpoint: Path) -> None:
    """Refuses to part adapters from what else was learned.

    Args:
        base: The model that the run began with.
        checkpoint: The checkpoint's folder.

    Raises:
        NoAdapterError: If other weights were learned too, there is no adapter, PEFT cannot say it in one, or what it
            was learned beside is nothing that is served.
    """
    path, source = checkpoint / WEIGHTS, base.source
    names = weights.names(path)
    own = [name for name in names if not weights.is_adapter(name)]
    kinds = {(lora.dora, lora.rslora) for lora in loras_from_json(weights.lora_of(path)).values()}
    why = ""
    if source.composed:
        why = "the base is two parts joined, which nobody serves without what joins them"
    elif own:
        roles = " and ".join(sorted({role_of(name, base.family) for name in own}))
        why = f"{roles} learned in full ({len(own)} tensors), and an adapter beside the untrained one answers at random"
    elif source.quantize is not None:
        why = "it was learned beside a base in four bits, and corrects those values, not the published ones"
    elif Path(_name(base)).suffix == ".gguf":
        why = "the base is a GGUF file, which no server loads adapters beside"
    elif not names:
        why = "it holds no adapter"
    elif len(kinds) > 1:
        why = "its roles learned by different kinds of LoRA, which PEFT keeps apart"
    if why:
        also = ", or train with --model.trainable.projector frozen" if own and not source.composed else ""
        raise NoAdapterError(f"{path} is no adapter alone: {why}. Remedy: export it merged, without --adapter{also}.")


def _name(base: Model) -> str:
    return str(base.source.base or base.source.language)


def write_adapter(folder: Path, trained: Model) -> None:
    """Writes a trained model's adapters as PEFT does, its processor beside them.

    Args:
        folder: Where to.
        trained: The trained model.
    """
    state = {name: each.detach() for name, each in trained.module.named_parameters() if weights.is_adapter(name)}
    save_file({_theirs(name): each.contiguous() for name, each in state.items()}, folder / TENSORS, {"format": "pt"})
    sync(folder / TENSORS)
    layers = sorted({name.partition(".lora_")[0] for name in state})
    first = next(iter(trained.loras.values()))
    ranks, alphas = _patterns(layers, trained, first)
    config = LoraConfig(
        base_model_name_or_path=_name(trained),
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
    trained.processor.save_pretrained(folder)


def _theirs(name: str) -> str:
    """Returns PEFT's name of an adapter's weight on disk; of DoRA's magnitudes it leaves out `weight`."""
    short = name.replace(f".{ADAPTER}", "")
    return _PREFIX + (short.removesuffix(".weight") if ".lora_magnitude_vector." in short else short)


def _patterns(layers: list[str], trained: Model, first: Lora) -> tuple[dict[str, int], dict[str, int]]:
    """Returns rank and alpha of the layers that differ from the first role's."""
    ranks: dict[str, int] = {}
    alphas: dict[str, int] = {}
    for layer in layers:
        lora = trained.loras[role_of(f"{layer}.weight", trained.family)]
        if lora.rank != first.rank:
            ranks[layer] = lora.rank
        if lora.alpha != first.alpha:
            alphas[layer] = lora.alpha
    return ranks, alphas


def prove_adapter(
    folder: Path, trained: Model, prompts: Sequence[Inputs], logits: Sequence[Tensor], untrained: Sequence[Tensor]
) -> Check:
    """Puts an adapter beside a fresh base by PEFT and compares it with the trained model, in float32.

    Args:
        folder: The adapter's folder.
        trained: The trained model.
        prompts: What to try it on.
        logits: The trained model's logits on that.
        untrained: The base's.
    """
    auto: Any = AutoModelForCausalLM if trained.source.text_only else AutoModelForImageTextToText
    fresh = auto.from_pretrained(_name(trained), dtype=stored_as(_name(trained)))
    module = PeftModel.from_pretrained(fresh, folder).get_base_model().eval()
    with in_float32(module, trained.read, steadied(module)):
        beside = [
            trial_logits(module, prompt, torch.float32, each.shape[1])
            for prompt, each in zip(prompts, logits, strict=True)
        ]
    return prove_merge(beside, logits, untrained, "logits beside the base are the trained model's")
