"""Whether all ranks run the same: code, libraries, configuration, and the checkpoint that they found.

Compared before the directory is taken and the model is loaded: ranks that differ would hang at some collective hours
later, or train something that nobody asked for. What is exchanged is small; only where ranks differ do they tell more.
"""

from __future__ import annotations

import hashlib
import json
import platform
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml

import cxr_lightning
from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.shards.rows import digest_of
from cxr_lightning.training.record import RECORDED, commit

_LISTED = 8
_APART = ("ckpt_path",)
"""What of a configuration is not compared: each rank looks for itself, and what it found is compared."""


class RanksDisagreeError(ValueError):
    """The ranks run different code or configurations, or found different checkpoints to go on from."""


@dataclass(frozen=True)
class Facts:
    """What one rank runs.

    Attributes:
        host: Its node.
        code: Digest of this package's files.
        versions: Of Python and the libraries, by name.
        configuration: Digest of the resolved configuration.
        checkpoint: What it would go on from.
    """

    host: str
    code: str
    versions: tuple[tuple[str, str], ...]
    configuration: str
    checkpoint: str


class Agreement(pl.Callback):
    """Compares what the ranks run. Comes before everything that is done in a directory.

    Args:
        run: The run directory.
        config: The resolved configuration, as YAML.
    """

    def __init__(self, run: str, config: str) -> None:
        self.run, self.config = Path(run), config

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Compares, on all ranks.

        Raises:
            RanksDisagreeError: If a rank differs; on all ranks.
        """
        flat = {name: value for name, value in leaves(yaml.safe_load(self.config)) if name not in _APART}
        everyones = gather(_facts(flat, pl_module.resume_from))
        if len({(each.code, each.versions) for each in everyones}) > 1:
            raise RanksDisagreeError(_other_code(everyones, gather(commit())))
        if len({each.configuration for each in everyones}) > 1:
            raise RanksDisagreeError(_other_configuration(everyones, gather(flat)))
        if len({each.checkpoint for each in everyones}) > 1:
            told = ", ".join(f"rank {rank}: {each.checkpoint}" for rank, each in enumerate(everyones[:_LISTED]))
            raise RanksDisagreeError(
                f"The ranks would go on from different checkpoints of {self.run} ({told}). Remedy: put the run "
                "directory on a disk that all nodes share; if it is, wait until the file system has caught up."
            )


def _facts(flat: Mapping[str, str], chosen: Path | None) -> Facts:
    checkpoint = "none" if chosen is None else f"{chosen.name} {digest_of(chosen / manifest.NAME)[:12]}"
    versions = {"python": platform.python_version(), **{name: version(name) for name in RECORDED}}
    versions["torch"] = torch.__version__  # with the build: one for CPUs and one for CUDA are of one version
    told = json.dumps(flat, sort_keys=True).encode()
    return Facts(socket.gethostname(), source(), tuple(versions.items()), hashlib.sha256(told).hexdigest(), checkpoint)


def source() -> str:
    """Returns a digest of the package's own files: a commit does not tell what was changed since."""
    here, sha256 = Path(cxr_lightning.__file__).parent, hashlib.sha256()
    files = (path for path in here.rglob("*.py") if path.is_file() and not path.name.startswith("."))
    for path in sorted(files):
        sha256.update(f"{path.relative_to(here)}\0".encode() + path.read_bytes())
    return sha256.hexdigest()[:12]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the options of a configuration by their dotted names.

    Args:
        tree: The configuration, or a part of it.
        path: The part's name.
    """
    if isinstance(tree, dict) and (tree or not path):
        for name, branch in tree.items():
            yield from leaves(branch, f"{path}.{name}" if path else str(name))
    else:
        yield path, str(tree)


def _other_code(everyones: list[Facts], commits: list[str | None]) -> str:
    codes = [
        {"commit": str(made), "files": each.code, **dict(each.versions)}
        for each, made in zip(everyones, commits, strict=True)
    ]
    return (
        f"The ranks run different code. {_apart(everyones, codes)} Remedy: let all nodes use one checkout and one "
        "virtual environment, on a disk that they share; if they do, wait until the file system has caught up."
    )


def _other_configuration(everyones: list[Facts], flats: list[dict[str, str]]) -> str:
    options = [{f"--{name}": value for name, value in flat.items()} for flat in flats]
    return (
        f"The ranks have different configurations. {_apart(everyones, options)} Remedy: start all ranks by one "
        "command, with configuration files on a disk that all nodes share."
    )


def _apart(everyones: list[Facts], found: list[dict[str, str]]) -> str:
    """Returns which ranks differ from most, or from rank 0 where there is no most, and in what."""
    keys = sorted({key for each in found for key in each})
    differing = [key for key in keys if len({each.get(key) for each in found}) > 1]
    told = [", ".join(f"{key} {each.get(key, 'not set')}" for key in differing[:_LISTED]) for each in found]
    counts = Counter(told)
    common = max(counts, key=lambda each: (counts[each], each == told[0]))
    odd = [rank for rank, each in enumerate(told) if each != common]
    lines = [f"Rank {rank} on {everyones[rank].host}: {told[rank]}." for rank in odd[:_LISTED]]
    lines += [f"{len(odd) - _LISTED} more ranks differ."] if len(odd) > _LISTED else []
    usual, most = told.index(common), ", as most" if 2 * counts[common] > len(told) else ""
    lines += [f"Rank {usual} on {everyones[usual].host}{most}: {common}."]
    lines += [f"{len(differing) - _LISTED} more differ."] if len(differing) > _LISTED else []
    return " ".join(lines)
