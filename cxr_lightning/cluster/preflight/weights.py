"""Files of the model, as one node sees them: folders are there, hub names are in the cache; no weight is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, try_to_load_from_cache

from cxr_lightning.checkpoint.runs import newest_checkpoint, open_run
from cxr_lightning.cluster.preflight.finding import Finding

CHECK = "model"
_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")


def look(model: Mapping[str, Any]) -> Finding:
    """Looks for every file that the configuration's model names.

    Args:
        model: `model.init_args`, as plain values.
    """
    source, found = dict(model.get("source") or {}), 0
    init_from = model.get("init_from")
    if init_from is not None:
        run = open_run(init_from)
        if (run.chosen or newest_checkpoint(run.folder)) is None:
            why = f"--model.init_from={init_from}: the run has no complete checkpoint yet"
            return Finding(CHECK, "no checkpoint", "failed", why, "let it train up to its first save, or name another")
        found += 1
        source = {**dict(run.provenance.get("model") or {}), **{k: v for k, v in source.items() if v is not None}}
    problems = [_problem(option, name) for option, name in _named(source)]
    lacking = [problem for problem in problems if problem is not None]
    told = f"{found + len(problems) - len(lacking)} parts found"
    if not lacking:
        return Finding(CHECK, told)
    why = "; ".join(problem.why for problem in lacking)
    if constants.HF_HUB_OFFLINE or any(not problem.fetched for problem in lacking):
        fetch = f"fetch it where there is a way out (huggingface-cli download), with HF_HOME={constants.HF_HOME}"
        remedy = f"{fetch}, on a disk that this node sees; or name a folder that it sees"
        return Finding(CHECK, f"{len(lacking)} lacking", "failed", why, remedy)
    remedy = "fetch it once before the job (huggingface-cli download): now every rank will ask the hub"
    return Finding(CHECK, f"{len(lacking)} to fetch", "warning", why, remedy)


@dataclass(frozen=True)
class _Problem:
    """What lacks of a part, and whether it would be fetched from the hub."""

    why: str
    fetched: bool = False


def _named(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("base", "vision", "language", "chat_template"):
        if source.get(part) is not None:
            yield f"--model.source.{part}", str(source[part])


def _problem(option: str, name: str) -> _Problem | None:
    path = Path(name)
    if path.is_file():
        return None if os.access(path, os.R_OK) else _Problem(f"{option}={name} may not be read")
    if path.is_dir():
        return _folder_problem(option, path)
    if path.is_absolute() or name.startswith(".") or path.suffix in _WEIGHTS or name.count("/") > 1:
        return _Problem(f"{option}={name} is not there")
    kept = try_to_load_from_cache(name, "config.json")
    if not isinstance(kept, str):
        return _Problem(f"{option}={name} is not in the hub's cache, {constants.HF_HUB_CACHE}", fetched=True)
    return _folder_problem(option, Path(kept).parent)


def _folder_problem(option: str, folder: Path) -> _Problem | None:
    files = [path for path in folder.iterdir() if path.name == "config.json" or path.suffix in _WEIGHTS]
    closed = [path.name for path in files if not os.access(path, os.R_OK)]
    if closed:
        return _Problem(f"{option}: {folder}/{closed[0]} may not be read")
    if not any(path.suffix in _WEIGHTS for path in files):
        return _Problem(f"{option}: {folder} holds no weights")
    return None
