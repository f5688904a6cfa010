"""The loaders' measurement works, at a size that says nothing of speed, and both ways make the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.fitting import ROOT


def test_loaders_are_measured(tmp_path):
    small = ["--images", "160", "--large", "0", "--repeats", "1", "--json", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, "benchmarks/loader.py", "--only", "ours", "folder", *map(str, small)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=400,
        env={**os.environ, "CXR_REAL_DATA": ""},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["512"]
    assert {name.partition("|")[0] for name in found} == {"ours, exact", "ours, scaled", "folder", "stages"}
    assert found["ours, exact|2"][0]["images"] == found["folder|0"][0]["images"] == 64
    assert found["stages"][0]["decode exact"] > 0
