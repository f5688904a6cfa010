"""Weights that are pages of their files: read when touched, given back when used, so that a merge needs little memory.

A file that is mapped into memory counts as a process's own as far as it was touched, though the system could have it
back at any time; job schedulers that watch resident memory would end the process nevertheless. So what was used is
given back at once, and read anew should it be wanted again.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import mmap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DONTNEED = 4
_MAPS = Path("/proc/self/maps")


class Pages:
    """The tensors that are parts of mapped files.

    What is given back must never have been written to: the writing would be lost with the page. So weights of a base
    are replaced, not changed in place. Their storages are held, so that no address here is ever that of other memory.
    """

    def __init__(self) -> None:
        self._held: dict[int, torch.UntypedStorage] = {}
        self._madvise: Callable[..., Any] | None = None
        with contextlib.suppress(OSError, AttributeError):  # another system keeps its pages: no harm but to the figure
            self._madvise = ctypes.CDLL(None).madvise

    def trust(self, tensors: Iterable[Tensor]) -> None:
        """Takes note of those among some tensors that are parts of files mapped by now."""
        begins, ends = _mapped_files()
        for tensor in tensors:
            if tensor.device.type == "cpu":
                at = bisect.bisect_right(begins, tensor.data_ptr()) - 1
                if at >= 0 and tensor.data_ptr() + tensor.nbytes <= ends[at]:
                    storage = tensor.untyped_storage()
                    self._held[storage.data_ptr()] = storage

    def give_back(self, tensor: Tensor) -> None:
        """Lets the system have the memory of a tensor that is part of a file; others are left alone."""
        if self._madvise is None or tensor.device.type != "cpu" or not tensor.is_contiguous():
            return
        if tensor.untyped_storage().data_ptr() not in self._held:
            return
        size, begin = mmap.PAGESIZE, tensor.data_ptr()
        end = (begin + tensor.nbytes) // size * size  # a page at either edge holds its neighbour too
        begin = -(-begin // size) * size
        if end > begin:
            self._madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def _mapped_files() -> tuple[list[int], list[int]]:
    """Returns where the ranges of memory that are files begin and end."""
    ranges: list[tuple[int, int]] = []
    with contextlib.suppress(OSError):
        for line in _MAPS.read_text().splitlines():
            words = line.split()
            if words[4] != "0":
                begin, end = words[0].split("-")
                ranges.append((int(begin, 16), int(end, 16)))
    ranges.sort()
    return [begin for begin, _ in ranges], [end for _, end in ranges]
