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
from pathlib import Path

from torch import Tensor

_DONTNEED = 4
_MAPS = Path("/proc/self/maps")


class Pages:
    """The files that are mapped into this process by now.

    What is given back must never have been written to: the writing would be lost with the page. So weights of a base
    are replaced, not changed in place.
    """

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._madvise = None
        with contextlib.suppress(OSError, AttributeError):  # another system keeps its pages: no harm but to the figure
            lines = [line.split() for line in _MAPS.read_text().splitlines()]
            self._madvise = ctypes.CDLL(None).madvise
            for begin, end in sorted(_range(line[0]) for line in lines if line[4] != "0"):
                self._begins.append(begin)
                self._ends.append(end)

    def give_back(self, tensor: Tensor) -> None:
        """Lets the system have the memory of a tensor that is part of a mapped file; others are left alone."""
        if self._madvise is None or tensor.device.type != "cpu" or not tensor.is_contiguous():
            return
        begin = tensor.data_ptr()
        end = begin + tensor.nbytes
        at = bisect.bisect_right(self._begins, begin) - 1
        if at < 0 or end > self._ends[at]:
            return
        size = mmap.PAGESIZE
        begin, end = -(-begin // size) * size, end // size * size  # a page at either edge holds its neighbour too
        if end > begin:
            self._madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def _range(text: str) -> tuple[int, int]:
    begin, end = text.split("-")
    return int(begin, 16), int(end, 16)
