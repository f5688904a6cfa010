"""Parts of a model by transformers' own loaders, with errors that name the option to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxr_lightning.model.source import ModelSourceError


def open_part(auto_class: Any, name: str | None, option: str, **options: Any) -> Any:
    """Loads from a folder, a hub name or a `.gguf` file.

    Args:
        auto_class: The transformers class that loads.
        name: Folder, hub name or file.
        option: The option that names it.
        options: What `from_pretrained` takes besides.

    Raises:
        ModelSourceError: If transformers cannot load it.
    """
    assert name is not None
    folder, path = name, Path(name)
    if path.suffix == ".gguf":
        folder, options = str(path.parent), {**options, "gguf_file": path.name}
    try:
        return auto_class.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError) as error:
        where = "the folder is there, but" if Path(folder).exists() else "there is no such folder, and as a hub name"
        raise ModelSourceError(
            f"{option}={name}: {where} transformers cannot load it as {auto_class.__name__}: "
            f"{str(error).splitlines()[0]} "
            f"Remedy: give {option} the folder of a Hugging Face model with config, weights and tokenizer."
        ) from error
