"""Parts of a model by transformers' own loaders, with errors that name the option to change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from transformers import AutoConfig
from transformers.utils import cached_file

from cxr_lightning.model.source import ModelSourceError

Dtype = torch.dtype | Literal["stored"]
"""A data type, or whichever the files have: then weights are not copied, but stay the pages of their files."""

_FLOATS = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}

_SHAPES: ContextVar[bool] = ContextVar("shapes", default=False)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Opens models without their weights: shapes on the device `meta`, for which config.json alone is read."""
    before = _SHAPES.set(True)
    try:
        yield
    finally:
        _SHAPES.reset(before)


def open_part(auto_class: Any, name: str | None, option: str, **options: Any) -> Any:
    """Loads from a folder, a hub name or a `.gguf` file.

    Args:
        auto_class: The transformers class that loads.
        name: Folder, hub name or file.
        option: The option that names it.
        options: What `from_pretrained` takes besides; of `dtype`, also `stored`.

    Raises:
        ModelSourceError: If transformers cannot load it.
    """
    assert name is not None
    folder, path = name, Path(name)
    if path.suffix == ".gguf":
        folder, options = str(path.parent), {**options, "gguf_file": path.name}
    try:
        if options.get("dtype") == "stored":
            options["dtype"] = torch.float32 if "gguf_file" in options else stored_as(folder)
        make = _maker(auto_class) if _SHAPES.get() else None
        if make is not None:
            return _shapes(make, folder, **options)
        return auto_class.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError) as error:
        where = "the folder is there, but" if Path(folder).exists() else "there is no such folder, and as a hub name"
        raise ModelSourceError(
            f"{option}={name}: {where} transformers cannot load it as {auto_class.__name__}: "
            f"{str(error).splitlines()[0]} "
            f"Remedy: give {option} the folder of a Hugging Face model with config, weights and tokenizer."
        ) from error


def stored_as(name: str) -> torch.dtype:
    """Returns the data type of a model's weights on disk, whatever its configuration says; float32 if they differ.

    Args:
        name: Folder or hub name.
    """
    files = [file for file in ("model.safetensors", "model.safetensors.index.json") if _found(name, file)]
    if not files:  # an older format: it is copied whatever is asked for
        return torch.float32
    first = Path(_found(name, files[0]))
    shards = {first}
    if first.suffix == ".json":
        shards = {Path(_found(name, shard)) for shard in set(json.loads(first.read_text())["weight_map"].values())}
    kinds = set()
    for shard in shards:
        with safe_open(shard, framework="pt") as file:
            kinds |= {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118 (not a dict)
    floats = kinds & set(_FLOATS)
    return _FLOATS[floats.pop()] if len(floats) == 1 else torch.float32


def _found(name: str, file: str) -> str:
    return cached_file(name, file, _raise_exceptions_for_missing_entries=False) or ""


def _maker(auto_class: Any) -> Any:
    """Returns what makes a model of a configuration; None for what is no model (tokenizers, configurations)."""
    return getattr(auto_class, "from_config", None) or getattr(auto_class, "_from_config", None)


def _shapes(
    make: Any, folder: str, *, config: Any = None, dtype: torch.dtype = torch.float32, gguf_file: str | None = None
) -> Any:
    stored = {} if gguf_file is None else {"gguf_file": gguf_file}
    config = AutoConfig.from_pretrained(folder, **stored) if config is None else config
    with torch.device("meta"):
        return make(config, dtype=dtype)
