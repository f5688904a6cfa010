"""Optimizer state as safetensors, in fragments: each rank writes what it holds, and any number of ranks reads it back.

A parameter's state is a flat run of numbers; ZeRO gives each rank a stretch of it. A file holds its rank's stretches
and says where in the parameter each begins, so a reader takes from whichever files cover the stretch that it needs:
no rank ever gathers the whole, and ranks and ZeRO stage may change between saving and loading. (DeepSpeed's own
checkpoints are pickles, cut for one number of ranks; its universal ones need a conversion by another program.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cxr_lightning.checkpoint.copies import HostCopies

PATTERN = "optimizer-*.safetensors"
MASTER = "master"
"""The float32 copy that AdamW moves where the model computes in half precision."""


class MissingStateError(ValueError):
    """A checkpoint holds no optimizer state for a parameter that learns now."""


@dataclass(frozen=True)
class Fragment:
    """A stretch of one parameter's optimizer state.

    Attributes:
        name: The parameter.
        start: Where in the flattened parameter the stretch begins.
        tensors: The stretch by kind of state (`exp_avg`, `exp_avg_sq`, `master`): flat, all of one length.
    """

    name: str
    start: int
    tensors: dict[str, Tensor]

    @property
    def length(self) -> int:
        """How many numbers of the parameter it covers."""
        return next(iter(self.tensors.values())).numel()

    def copy(self, copies: HostCopies) -> Fragment:
        """Returns a copy in host memory, which training does not change any more."""
        return Fragment(
            self.name, self.start, {kind: copies(f"{kind}/{self.name}", each) for kind, each in self.tensors.items()}
        )


def file_name(rank: int, ranks: int) -> str:
    """Returns the name of one rank's file."""
    return f"optimizer-{rank:05d}-of-{ranks:05d}.safetensors"


def save(path: Path, fragments: Iterable[Fragment]) -> None:
    """Writes one rank's fragments."""
    listed = list(fragments)
    save_file(
        {f"{kind}/{each.name}": tensor for each in listed for kind, tensor in each.tensors.items()},
        path,
        metadata={"starts": json.dumps({each.name: each.start for each in listed})},
    )


class SavedState:
    """The optimizer state of a checkpoint, read stretch by stretch.

    Args:
        folder: The checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[str, list[_Part]] = {}
        for path in sorted(folder.glob(PATTERN)):
            file: Any = safe_open(path, framework="pt")  # closed with this object
            kinds: dict[str, set[str]] = {}
            for key in file.keys():  # noqa: SIM118 (it is no dict)
                kind, _, name = key.partition("/")
                kinds.setdefault(name, set()).add(kind)
            for name, start in json.loads((file.metadata() or {}).get("starts", "{}")).items():
                length = file.get_slice(f"{min(kinds[name])}/{name}").get_shape()[0]
                part = _Part(file, start, start + length, frozenset(kinds[name]))
                self._parts.setdefault(name, []).append(part)

    @property
    def names(self) -> set[str]:
        """The parameters that learned."""
        return set(self._parts)

    def has(self, name: str, kind: str) -> bool:
        """Returns whether a parameter has a kind of state."""
        return any(kind in part.kinds for part in self._parts.get(name, ()))

    def require(self, learning: set[str]) -> None:
        """Compares what learned with what learns now.

        Raises:
            MissingStateError: If they differ.
        """
        odd = sorted(self.names ^ learning)
        if odd:
            then = "learned in it and does not now" if odd[0] in self.names else "learns now and did not in it"
            raise MissingStateError(
                f"{self.folder}: {odd[0]} {then}"
                f"{f', and so do {len(odd) - 1} others' if len(odd) > 1 else ''}. Remedy: resume with the same "
                "--model.trainable and --model.lora, or start a new run from the weights with --model.init_from."
            )

    def fill(self, fragment: Fragment, otherwise: Mapping[str, Callable[[], Tensor]] | None = None) -> None:
        """Copies the saved numbers into a fragment's tensors.

        Args:
            fragment: The stretch that this rank holds now; its tensors are written.
            otherwise: Gives a kind of state where the checkpoint has none of it, as the whole parameter.

        Raises:
            MissingStateError: If the checkpoint does not cover the stretch.
        """
        first, last = fragment.start, fragment.start + fragment.length
        for kind, into in fragment.tensors.items():
            covered = 0
            for part in self._parts.get(fragment.name, ()):
                begin, end = max(first, part.start), min(last, part.stop)
                if begin < end and kind in part.kinds:
                    saved = part.file.get_slice(f"{kind}/{fragment.name}")[begin - part.start : end - part.start]
                    into[begin - first : end - first].copy_(saved)
                    covered += end - begin
            if covered == 0 and otherwise is not None and kind in otherwise:
                into.copy_(otherwise[kind]().view(-1)[first:last])
            elif covered != fragment.length:
                raise MissingStateError(
                    f"{self.folder}: no optimizer state ({kind}) for {fragment.name}, which learns now. Remedy: resume "
                    "with the same --model.trainable and --model.lora, or start a new run from the weights with "
                    "--model.init_from."
                )


@dataclass(frozen=True)
class _Part:
    """One file's stretch of one parameter."""

    file: Any
    start: int
    stop: int
    kinds: frozenset[str]


def empty_like(tensor: Tensor) -> dict[str, Tensor]:
    """Returns AdamW's state of a flat tensor as torch makes it at the first step."""
    return {
        "step": torch.tensor(0.0, dtype=torch.float32),
        "exp_avg": torch.zeros_like(tensor, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(tensor, memory_format=torch.preserve_format),
    }
