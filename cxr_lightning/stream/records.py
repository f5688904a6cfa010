"""Records of one size in a plain `.npy`: an image's features enter and leave, with a checksum each.

NumPy's own format, never pickled: `numpy.load(FILE, mmap_mode="r")` shows the same to anybody. A file appears under its
name when it is whole; whoever is killed in the middle leaves nothing that could be taken for features.
"""

# Shapes: F... the shape of one image's features.

from __future__ import annotations

import io
import os
import platform
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

State = Literal["good", "blank", "damaged"]
_STORED = {
    torch.float32: "<f4",
    torch.float16: "<f2",
    torch.bfloat16: "<u2",
}  # NumPy has no bfloat16; its bits are kept
_PARTIAL = ".partial"


class FeaturesError(ValueError):
    """A folder of features does not hold what this training would compute."""


@dataclass(frozen=True)
class Form:
    """What the features of one image look like.

    Attributes:
        shape: Their shape.
        dtype: Their data type.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    def __post_init__(self) -> None:
        if self.dtype not in _STORED:
            raise FeaturesError(
                f"Features of {self.dtype} cannot be kept. Remedy: train in float32, bfloat16 or float16."
            )

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))}, {self.to_json()['dtype']}"

    @property
    def record(self) -> np.dtype[Any]:
        """The type of a record: the checksum of the features, then their bytes."""
        return np.dtype([("crc32", "<u4"), ("features", _STORED[self.dtype], self.shape)])

    def header(self, records: int) -> bytes:
        """Returns how a file of so many records begins."""
        return _header(self, records)

    def size(self, records: int) -> int:
        """Returns how long a file of so many records is."""
        return len(self.header(records)) + records * self.record.itemsize

    def tensor(self, records: np.ndarray[Any, Any]) -> Tensor:
        """Returns the features of records, of shape (records, F...)."""
        return torch.from_numpy(records["features"].copy()).view(self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Returns the form as it is written down."""
        return {"shape": list(self.shape), "dtype": str(self.dtype).removeprefix("torch.")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Form:
        """Reads back what `to_json` wrote."""
        return cls(tuple(map(int, values["shape"])), getattr(torch, values["dtype"]))


@lru_cache(maxsize=4096)
def _header(form: Form, records: int) -> bytes:
    file = io.BytesIO()
    described = {"descr": npy.dtype_to_descr(form.record), "fortran_order": False, "shape": (records,)}
    npy.write_array_header_1_0(file, described)
    return file.getvalue()


def state(record: Any) -> State:
    """Returns whether a record is good, was left blank, or is damaged."""
    if zlib.crc32(record["features"].tobytes()) == int(record["crc32"]):
        return "good"
    return "damaged" if int(record["crc32"]) or record["features"].any() else "blank"


class RecordWriter:
    """Writes the records of one file in order.

    Args:
        file: Where to.
        form: What features look like.
        records: How many there will be.
    """

    def __init__(self, file: BinaryIO, form: Form, records: int) -> None:
        self._file, self.form, self.left = file, form, records
        file.write(form.header(records))

    def write(self, features: Tensor) -> None:
        """Writes the features of one image."""
        assert tuple(features.shape) == self.form.shape, features.shape
        stored = features.to(self.form.dtype).cpu().contiguous()
        data = (stored.view(torch.int16) if stored.dtype == torch.bfloat16 else stored).numpy().tobytes()
        self._put(zlib.crc32(data).to_bytes(4, "little") + data)

    def leave_blank(self) -> None:
        """Writes a record that says: this image cannot be used."""
        self._put(bytes(self.form.record.itemsize))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.left -= 1


@contextmanager
def writing(path: Path, form: Form, records: int) -> Iterator[RecordWriter]:
    """Opens a file for its records; it appears when all are written."""
    with whole(path) as file:
        writer = RecordWriter(file, form, records)
        yield writer
        assert not writer.left, f"{writer.left} records lack"


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name when it is complete; several processes may write the same one."""
    partial = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            partial.replace(path)
        except FileNotFoundError:
            if not path.exists():  # another process wrote the same, and swept up
                raise
    finally:
        partial.unlink(missing_ok=True)
    for left in path.parent.glob(f"{path.name}.*{_PARTIAL}"):  # by processes that were killed
        with suppress(OSError):
            left.unlink()
