"""What an exported folder says of itself, read from its small files; nothing here loads a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_FILES = ("config.json", "processor_config.json", "tokenizer_config.json")
_WEIGHTS = "model.safetensors"
_PROVENANCE = "provenance.json"


class NotAnExportError(ValueError):
    """A folder is not a complete exported model."""


def require_export(folder: Path) -> None:
    """Looks at a folder's files, before anything is loaded.

    Args:
        folder: The folder.

    Raises:
        NotAnExportError: If it is not a complete model; the message names what is missing.
    """
    if not folder.is_dir():
        raise NotAnExportError(f"{folder}: there is no such folder. Remedy: give the folder of `cxr export`, or a URL.")
    if (folder / "run.json").is_file():
        raise NotAnExportError(f"{folder} is a run, not yet a model. Remedy: cxr export {folder} --out MODEL")
    if folder.name.endswith(".partial"):
        raise NotAnExportError(f"{folder} was never finished, nor proven. Remedy: export the run again.")
    if (folder / "adapter_config.json").is_file():
        raise NotAnExportError(f"{folder} is an adapter without its base. Remedy: merge it: cxr export RUN --out MODEL")
    lacking = [name for name in (_FILES if is_ours(folder) else _FILES[:1]) if not (folder / name).is_file()]
    index = folder / f"{_WEIGHTS}.index.json"
    weights = {_WEIGHTS}
    if index.is_file():
        weights = set(_json(index)["weight_map"].values())
    lacking += sorted(name for name in weights if not (folder / name).is_file())
    if lacking:
        raise NotAnExportError(
            f"{folder} lacks {', '.join(lacking)}, so it is not a complete model. "
            "Remedy: give the folder of `cxr export RUN --out DIR`."
        )


def is_ours(folder: Path) -> bool:
    """Tells whether `cxr export` wrote a folder; what others wrote is laid out in many ways.

    Args:
        folder: The folder.
    """
    return (folder / _PROVENANCE).is_file()


def image_size_of(folder: Path) -> int | None:
    """Returns the longest side of the images that a model was trained on, where its provenance tells.

    Args:
        folder: The exported folder.
    """
    record = folder / _PROVENANCE
    if not record.is_file():
        return None
    size: int | None = _json(record).get("data", {}).get("image_size")
    return size


def fingerprint_of(folder: Path) -> str:
    """Returns twelve digits that differ between two exports, in a moment: weights are known by provenance and size.

    Args:
        folder: The exported folder.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".jinja") and file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        elif file.suffix == ".safetensors":
            digest.update(file.name.encode() + b"\0" + str(file.stat().st_size).encode())
    return digest.hexdigest()[:12]


def _json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except ValueError:
        raise NotAnExportError(f"{file}: cut off or damaged. Remedy: export the run again.") from None
    return found
