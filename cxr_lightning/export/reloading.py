"""An exported folder as whoever serves it will load it: by plain transformers, and compared with what was meant."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from cxr_lightning.export.lending import giving_back, in_float32
from cxr_lightning.export.pages import Pages
from cxr_lightning.export.proof import Check
from cxr_lightning.export.trained import steadied
from cxr_lightning.export.trial import Inputs, greedy, trial_logits, trials
from cxr_lightning.export.writing import bytes_of
from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.language import TextProcessor
from cxr_lightning.model.templates import write_template


@dataclass(frozen=True)
class Reloaded:
    """What plain transformers made of an exported folder.

    Attributes:
        checks: What was found of its weights, its processor and its settings.
        logits: Logits at the end of each trial's prompt, computed in float32 with the weights as they were written.
        texts: Greedy tokens that it answers each trial with, in its own data type.
    """

    checks: list[Check]
    logits: list[Tensor]
    texts: list[list[int]]


@dataclass(frozen=True)
class Meant:
    """What a folder is meant to hold.

    Attributes:
        prompts: The trials as the run's own processor makes them.
        processor: That processor.
        weights: Checksum of each weight as it was merged, by its name in the model.
        vision: Checksums of the base's vision weights in the export's data type, where nothing learned them.
        dtype: Data type of the weights.
        text_only: Whether it is a language model alone.
    """

    prompts: Sequence[Inputs]
    processor: Any
    weights: Mapping[str, int]
    vision: Mapping[str, int]
    dtype: torch.dtype
    text_only: bool


def reload(folder: Path, meant: Meant, keep: int) -> Reloaded:
    """Loads an exported folder and looks at it.

    Args:
        folder: The folder.
        meant: What it is meant to hold.
        keep: Of how many positions at the end of each prompt logits are wanted.
    """
    auto: Any = AutoModelForCausalLM if meant.text_only else AutoModelForImageTextToText
    model, loading = auto.from_pretrained(folder, dtype=meant.dtype, output_loading_info=True)
    processor, pages = _processor(folder, meant.text_only), steadied(model)
    again = trials(processor)
    checks = [
        *_weights(model, loading, meant, pages),
        _prompts(again, meant.prompts),
        _settings(folder, processor, meant),
    ]
    with in_float32(model, pages=pages):
        logits = [trial_logits(model, prompt, torch.float32, keep) for prompt in again]
    with giving_back(model, pages):
        texts = [greedy(model, prompt) for prompt in again]
    return Reloaded(checks, logits, texts)


def _weights(model: Any, loading: Mapping[str, Any], meant: Meant, pages: Pages) -> Iterator[Check]:
    lost = [*loading["missing_keys"], *loading["unexpected_keys"], *loading["mismatched_keys"]]
    told = f"{len(meant.weights)} tensors, none missing or left over" if not lost else f"{len(lost)} do not: {lost[0]}"
    yield Check("every tensor loads in transformers", told, not lost)
    sums = _checksums(model, meant, pages)
    odd = [name for name, total in meant.weights.items() if sums.get(name) != total]
    equal = f"{len(meant.weights) - len(odd)} of {len(meant.weights)}" + (f", not {odd[0]}" if odd else "")
    yield Check("reloaded tensors are the merged ones to the bit", equal, not odd)
    if not meant.text_only:
        changed = [name for name, total in meant.vision.items() if sums.get(name) != total]
        kept = f"{len(meant.vision) - len(changed)} of {len(meant.vision)} bit-equal" if meant.vision else "it learned"
        yield Check("vision weights are the base's", kept, not changed)
        family = vlm_family(model.config)
        projector = [name for name in meant.weights if role_of(name, family) == "projector"]
        yield Check("the projector is there", f"{len(projector)} tensors", bool(projector))


def _prompts(again: Sequence[Inputs], prompts: Sequence[Inputs]) -> Check:
    same = all(
        left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
        for left, right in zip(again, prompts, strict=True)
    )
    tokens = sum(prompt["input_ids"].numel() for prompt in again)
    return Check("prompts and pixels are the trained ones", f"{tokens} tokens in {len(again)} prompts", same)


def _settings(folder: Path, processor: Any, meant: Meant) -> Check:
    """Compares what trials do not reach: the whole template, how images are prepared, and where answers end."""
    mine, theirs = _told(meant.processor), _told(processor)
    odd = sorted(name for name in mine if mine[name] != theirs.get(name))
    generation = json.loads((folder / "generation_config.json").read_text())
    ends = generation.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [ends]
    if meant.processor.tokenizer.eos_token_id not in ends:  # what training ended every answer with
        odd.append("the end of an answer")
    if generation.get("do_sample"):
        odd.append("greedy generation")
    told = f"{len(mine) + 2} alike" if not odd else f"others are {', '.join(odd)}"
    return Check("template, images and ends are the trained ones", told, not odd)


def _told(processor: Any) -> dict[str, Any]:
    tokenizer, images = processor.tokenizer, processor.image_processor
    told = {name: getattr(tokenizer, name) for name in ("eos_token_id", "bos_token_id", "pad_token_id", "padding_side")}
    told |= {"tokens": len(tokenizer), "chat template": processor.chat_template}
    if images is not None:
        plain = {name: value for name, value in images.to_dict().items() if not name.startswith("_")}
        told |= {f"images' {name}": json.dumps(value, default=str, sort_keys=True) for name, value in plain.items()}
    return told


def checksum(tensor: Tensor) -> int:
    """Returns the checksum (CRC-32) of a tensor's bytes."""
    return zlib.crc32(bytes_of(tensor))


def _checksums(model: Any, meant: Meant, pages: Pages) -> dict[str, int]:
    """Returns the checksums of a model's weights; some parts are kept in float32 whatever is asked for."""
    parameters = {name for name, _ in model.named_parameters()}
    sums = {}
    for name, tensor in model.state_dict().items():
        sums[name] = checksum(tensor.to(meant.dtype) if name in parameters else tensor)
        pages.give_back(tensor)
    return sums


def _processor(folder: Path, text_only: bool) -> Any:
    if text_only:
        return TextProcessor(AutoTokenizer.from_pretrained(folder))
    processor = AutoProcessor.from_pretrained(folder)
    write_template(processor)
    return processor
