"""The rows of a million samples cost a process nothing until they are looked at."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from cxr_lightning.shards.contract import ImageRecord
from cxr_lightning.shards.index import read_index, write_index
from cxr_lightning.shards.rows import ShardRows, row_type
from tests.commands import ROOT

MEMORY = """
import sys, resource
from cxr_lightning.shards.index import read_index
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = resident()
index = read_index(sys.argv[1])
train = index.split("train")
opened = resident() - before
assert len(train) == 1_000_000 and train.key(999_999) == "999999".zfill(24)
print(opened)
"""


def test_a_million_samples_are_opened_in_no_memory(tmp_path):
    many, shards = 1_000_000, 1000
    rows = np.zeros(many, row_type(24))
    rows["key"] = rows["patient"] = [b"%024d" % number for number in range(many)]
    rows["offset"] = np.tile(np.arange(many // shards) * 102_400, shards)
    rows["size"] = 102_400
    parts = [ShardRows(f"{n}.tar", 1, "0" * 64, {"train": part}) for n, part in enumerate(np.split(rows, shards))]
    write_index(tmp_path, parts, ImageRecord(size=512, format="jpg"))
    assert (tmp_path / "index.npy").stat().st_size < 112 * many
    started = time.perf_counter()
    read_index(tmp_path).split("train")
    assert time.perf_counter() - started < 0.5
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) < 20e6
