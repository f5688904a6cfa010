"""The measurement for GPUs works: tiny, on a CPU, one stage packed and one padded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.fitting import ROOT, environment


@pytest.mark.skipif(torch.cuda.is_available(), reason="the tiny form is one CPU rank's")
def test_stages_are_measured(tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--tiny", "--seconds", "1", "--json", str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=400,
        env=environment(OMP_NUM_THREADS="1"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.keys() == {"stage 1, packed", "stage 2, padded"}
    for figures in found.values():
        assert 0 < figures["speed/mfu"] < 1
        assert figures["speed/tokens_per_s"] > figures["speed/samples_per_s"] > 0
    assert found["stage 1, packed"]["data/padding_share"] == 0 < found["stage 2, padded"]["data/padding_share"]
