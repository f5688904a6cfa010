"""Safetensors files written tensor by tensor are what the library itself reads, whatever they hold."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from cxr_lightning.export.room import parse_size
from cxr_lightning.export.writing import INDEX, Entry, bytes_of, write

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool)
tensors = st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=3), st.sampled_from(DTYPES)), min_size=1, max_size=12)


def drawn(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return (10 * torch.randn(shape)).to(dtype)


@pytest.mark.quick
@settings(max_examples=60)
@given(tensors, st.integers(1, 400))
def test_the_library_reads_what_was_written(shapes, most_bytes):
    made = {f"layers.{number}.weight": drawn(*each) for number, each in enumerate(shapes)}
    entries = [Entry(name, tuple(t.shape), t.dtype, lambda t=t: t) for name, t in made.items()]
    told: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sums = write(folder, entries, most_bytes, advance=told.append)
        files = sorted(folder.glob("*.safetensors"))
        index = json.loads((folder / INDEX).read_text()) if (folder / INDEX).exists() else None
        assert (index is None) == (len(files) == 1)
        read: dict[str, torch.Tensor] = {}
        for file in files:
            with safe_open(file, framework="pt") as opened:
                held = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118 (not a dict)
            if index:
                assert {index["weight_map"][key] for key in held} == {file.name}
            assert (
                sum(each.nbytes for each in held.values()) <= most_bytes
                or len(held) == 1
                or not any(each.nbytes for each in list(held.values())[1:])
            )
            read |= held
    assert list(read) == sorted(made) or read.keys() == made.keys()
    assert all(read[key].dtype == made[key].dtype and torch.equal(read[key], made[key]) for key in made)
    assert sums == {key: zlib.crc32(bytes_of(each)) for key, each in made.items()}
    assert sum(told) == sum(each.nbytes for each in made.values())


@pytest.mark.quick
@pytest.mark.parametrize(("text", "number"), [("5GB", 5 * 10**9), ("500 mb", 5 * 10**8), ("1.5K", 1500), ("7", 7)])
def test_sizes_are_read(text, number):
    assert parse_size(text) == number


@pytest.mark.quick
@pytest.mark.parametrize("text", ["", "GB", "5GiBs", "-1GB", "0", "1.2.3MB", "five", "0.1", "0.5B"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="write it like 500MB"):
        parse_size(text)
