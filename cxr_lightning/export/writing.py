"""Weights to safetensors files, tensor by tensor: a header that says where each lies, then one after another.

The library's own writer wants a whole file's tensors in memory at once; here at most two are, one that is being made
and one that is being written. The format is https://github.com/huggingface/safetensors: eight bytes with the length of
a JSON header, the header, the tensors' bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from cxr_lightning.durable import sync

INDEX = "model.safetensors.index.json"
_PART = 8 * 2**20
"""Values written at once: of an embedding table no more than these have to be in memory."""
_KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A tensor to be written.

    Attributes:
        name: Its name on disk.
        shape: Its shape.
        dtype: Its data type on disk.
        make: Makes it, in any data type.
        done: Called with each part of the tensor once that is written.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]
    done: Callable[[Tensor], object] = lambda part: None

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return prod(self.shape) * self.dtype.itemsize


def write(
    folder: Path, entries: Sequence[Entry], most_bytes: int, *, advance: Callable[[int], object] | None = None
) -> dict[str, int]:
    """Writes tensors to one file, or to several with an index, and waits until they are on disk.

    Args:
        folder: Where to.
        entries: What; the order stays.
        most_bytes: Most bytes of tensors a file, unless one alone has more.
        advance: Told how many bytes were written, as they are.

    Returns:
        The checksum (CRC-32) of each tensor's bytes by its name.
    """
    files = list(_divide(entries, most_bytes))
    sums: dict[str, int] = {}
    place: dict[str, str] = {}
    for number, held in enumerate(files, 1):
        name = "model.safetensors" if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        place |= {entry.name: name for entry in held}
        sums |= _write_file(folder / name, held, advance or (lambda count: None))
    if len(files) > 1:
        total = {"total_parameters": sum(prod(each.shape) for each in entries)}
        content = {"metadata": {**total, "total_size": sum(each.size for each in entries)}, "weight_map": place}
        (folder / INDEX).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return sums


def _divide(entries: Sequence[Entry], most_bytes: int) -> Iterator[list[Entry]]:
    held: list[Entry] = []
    for entry in entries:
        if held and sum(each.size for each in held) + entry.size > most_bytes:
            yield held
            held = []
        held.append(entry)
    yield held


def _write_file(path: Path, entries: Sequence[Entry], advance: Callable[[int], object]) -> dict[str, int]:
    sums: dict[str, int] = {}
    with path.open("wb", buffering=0) as file, ThreadPoolExecutor(1) as disk:
        file.write(_header(entries))
        writing: Future[int] | None = None
        for entry in entries:
            made = entry.make()
            assert made.shape == entry.shape, (entry.name, made.shape, entry.shape)
            tensor = made.to(entry.dtype).contiguous()
            if writing is not None:  # an error of the disk is raised here
                advance(writing.result())
            writing = disk.submit(_put, file, tensor, entry, sums)
        if writing is not None:
            advance(writing.result())
    sync(path)
    return sums


def _put(file: BinaryIO, tensor: Tensor, entry: Entry, sums: dict[str, int]) -> int:
    total = 0
    flat = tensor.reshape(-1)
    for begin in range(0, flat.numel(), _PART):
        part = flat[begin : begin + _PART]
        data = bytes_of(part)
        total = zlib.crc32(data, total)
        at = 0
        while at < len(data):  # a disk may take less than it is given
            at += file.write(data[at:])
        entry.done(part)
    sums[entry.name] = total
    return tensor.nbytes


def bytes_of(tensor: Tensor) -> memoryview:
    """Returns a tensor's bytes, row by row."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _header(entries: Sequence[Entry]) -> bytes:
    about: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for entry in entries:
        about[entry.name] = {
            "dtype": _KINDS[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [at, at + entry.size],
        }
        at += entry.size
    text = json.dumps(about, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return struct.pack("<Q", len(text)) + text
