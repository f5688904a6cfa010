"""What an exported folder holds: every weight with its name on disk, and all that stands beside the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from cxr_lightning.export.layout import stored_names
from cxr_lightning.export.merge import Merged, serving_frame
from cxr_lightning.export.trained import Model
from cxr_lightning.export.writing import Entry

_WHERE = {"_name_or_path", "_model_name_or_path", "name_or_path", "is_local", "local_files_only"}


@dataclass(frozen=True)
class Contents:
    """What is to be written.

    Attributes:
        frame: The plain model, without values.
        names: The name on disk of each weight, by its name in the model.
        entries: The weights in the order of the files.
        instead: Weights that are written in another form than they were learned in, by their name in the model.
    """

    frame: Any
    names: Mapping[str, str]
    entries: list[Entry]
    instead: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """How many bytes the weights take."""
        return sum(entry.size for entry in self.entries)


def plan(trained: Model, merged: Merged, dtype: torch.dtype) -> Contents:
    """Lists the weights that an export of a trained model holds.

    Args:
        trained: The trained model.
        merged: Its weights.
        dtype: Data type of the export.
    """
    frame, instead = serving_frame(trained.module, merged)
    names = stored_names(frame)
    parameters = {name for name, _ in frame.named_parameters()}
    state = frame.state_dict()

    def entry(name: str) -> Entry:
        def make() -> Tensor:
            return instead[name] if name in instead else merged.merge(name, dtype)

        def done(part: Tensor) -> None:
            merged.done_with(part, name)

        kept = dtype if name in parameters else merged.stored(name).dtype  # buffers stay what they are
        return Entry(names[name], tuple(state[name].shape), kept, make, done)

    return Contents(frame, names, [entry(name) for name in names], instead)


def write_beside(folder: Path, processor: Any, frame: Any, dtype: torch.dtype) -> None:
    """Writes what a model's folder holds beside its weights: configuration, processor, tokenizer, how to generate.

    Args:
        folder: The folder.
        processor: The run's processor.
        frame: The plain model.
        dtype: Data type of the weights.
    """
    config = frame.config
    config.architectures = [type(frame).__name__]
    for part in (config, *(getattr(config, name) for name in config.sub_configs if hasattr(config, name))):
        part.dtype = dtype  # a server that builds the language model alone asks its own configuration
    config.save_pretrained(folder)
    _generation(processor, frame).save_pretrained(folder)
    # vLLM knows no do_sample and would sample at temperature 1; transformers would not write this, but reads it.
    _edit(folder / "generation_config.json", lambda content: {**content, "temperature": 0.0})
    processor.save_pretrained(folder)
    for name in ("config.json", "tokenizer_config.json"):
        _edit(folder / name, _without_places)


def _without_places(content: dict[str, Any]) -> dict[str, Any]:
    """Takes out of a configuration what it keeps of the folders that it was loaded from."""
    return {
        name: _without_places(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if name not in _WHERE
    }


def _edit(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text())), indent=2, ensure_ascii=False) + "\n")


def _generation(processor: Any, model: Any) -> GenerationConfig:
    """Greedy by default, so that a report does not change when asked for twice."""
    tokenizer = processor.tokenizer
    ends = model.generation_config.eos_token_id
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    if tokenizer.eos_token_id not in ends:  # what training ended every answer with
        ends = [tokenizer.eos_token_id, *ends]
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends[0] if len(ends) == 1 else ends,
        pad_token_id=tokenizer.pad_token_id,
    )
