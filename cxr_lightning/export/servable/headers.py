"""Safetensors files -> names, types and shapes of their tensors, from the headers alone; and what is wrong with files.

A header is a length of eight bytes and JSON that gives each tensor's stretch of bytes, so a file that was cut off, or
written half, gives itself away without a tensor being read.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
_LONGEST = 100_000_000
"""Bytes of the longest header that readers of the format accept."""
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """One tensor as its file's header describes it.

    Attributes:
        file: The file's name.
        dtype: Its type, as safetensors calls it.
        shape: Its shape.
    """

    file: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * _BITS.get(self.dtype, 0) // 8


@dataclass
class Weights:
    """What a folder's safetensors files hold.

    Attributes:
        tensors: Every tensor by name.
        files: The files that were read.
        problems: What is wrong with files and index.
    """

    tensors: dict[str, Stored] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """How many bytes all tensors take."""
        return sum(each.bytes for each in self.tensors.values())


class _BadFileError(Exception):
    """What is wrong with one file."""


def read_weights(folder: Path, pattern: str = "*.safetensors") -> Weights:
    """Reads the headers of a folder's weight files, and compares them with the index where there is one.

    Args:
        folder: The folder.
        pattern: Which files are weights.
    """
    weights = Weights()
    for path in sorted(folder.glob(pattern)):
        weights.files.append(path.name)
        try:
            found = _header(path)
        except (_BadFileError, OSError) as error:
            weights.problems.append(f"{path.name} {error}")
            continue
        twice = sorted(found.keys() & weights.tensors.keys())
        if twice:
            weights.problems.append(f"{path.name} holds {twice[0]}, which {weights.tensors[twice[0]].file} holds too")
        weights.tensors.update(found)
    if not weights.files:
        weights.problems.append(f"there is no file {pattern}")
    if (folder / INDEX).exists():
        weights.problems += _index_problems(folder / INDEX, weights)
    elif len(weights.files) > 1:
        weights.problems.append(f"{len(weights.files)} weight files and no {INDEX}")
    return weights


def _header(path: Path) -> dict[str, Stored]:
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise _BadFileError(f"is cut off: it has {size} bytes, and a header alone takes more")
        (length,) = struct.unpack("<Q", first)
        if length > _LONGEST or 8 + length > size:
            raise _BadFileError(f"is cut off or no safetensors file: a header of {length} bytes in a file of {size}")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise _BadFileError(f"has a header that is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise _BadFileError("has a header that lists no tensors")
    header.pop("__metadata__", None)
    placed = {name: _stored(path.name, name, entry) for name, entry in header.items()}
    _require_stretches({name: place for name, (_, place) in placed.items()}, size - 8 - length)
    return {name: stored for name, (stored, _) in placed.items()}


def _stored(file: str, name: str, entry: Any) -> tuple[Stored, tuple[int, int]]:
    """Returns a tensor and where its bytes begin and end."""
    try:
        shape = tuple(int(each) for each in entry["shape"])
        begin, end = (int(each) for each in entry["data_offsets"])
        stored = Stored(file, str(entry["dtype"]), shape)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _BadFileError(f"describes {name} without type, shape or place") from None
    if stored.dtype not in _BITS:
        raise _BadFileError(f"holds {name} in a type that is not known, {stored.dtype}")
    if end - begin != stored.bytes or any(each < 0 for each in shape):
        raise _BadFileError(f"gives {name} {end - begin} bytes, and its shape takes {stored.bytes}")
    return stored, (begin, end)


def _require_stretches(places: Mapping[str, tuple[int, int]], held: int) -> None:
    """Requires that tensors lie end to end, and that the last ends where the file does."""
    at = 0
    for name, (begin, end) in sorted(places.items(), key=lambda each: each[1]):
        if begin != at:
            raise _BadFileError(f"has {'a hole' if begin > at else 'an overlap'} before {name}")
        at = end
    if at != held:
        how = "is cut off" if held < at else "goes on after its last tensor"
        raise _BadFileError(f"{how}: it holds {held} bytes of weights, and its header tells of {at}")


def _index_problems(path: Path, weights: Weights) -> list[str]:
    try:
        listed = json.loads(path.read_text())["weight_map"]
        places = {str(name): str(file) for name, file in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        return [f"{path.name} cannot be read ({error})"]
    problems = [f"{file} is in the index and not there" for file in sorted(set(places.values()) - set(weights.files))]
    problems += [f"{file} is there and not in the index" for file in sorted(set(weights.files) - set(places.values()))]
    if problems or weights.problems:
        return problems  # what is wrong with files explains what is wrong with tensors
    lost = sorted(name for name, file in places.items() if name not in weights.tensors)
    moved = sorted(name for name, file in places.items() if name not in lost and weights.tensors[name].file != file)
    unlisted = sorted(weights.tensors.keys() - places.keys())
    told = [(lost, "in the index and in no file"), (moved, "not in the file that the index says")]
    told.append((unlisted, "in a file and not in the index"))
    return [f"{names[0]}{_more(names)} {how}" for names, how in told if names]


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more tensors are" if len(names) > 1 else " is"
