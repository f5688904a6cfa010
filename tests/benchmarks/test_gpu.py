"""The measurement for GPUs works: tiny, on a CPU, one stage packed and one padded."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.running import found_by


@pytest.mark.skipif(torch.cuda.is_available(), reason="the tiny form is one CPU rank's")
def test_stages_are_measured(tmp_path):
    found = found_by(tmp_path, "gpu.py", "--tiny", "--seconds", "1")
    assert found.keys() == {"stage 1, packed", "stage 2, padded"}
    for figures in found.values():
        assert 0 < figures["speed/mfu"] < 1
        assert figures["speed/tokens_per_s"] > figures["speed/samples_per_s"] > 0
    assert found["stage 1, packed"]["data/padding_share"] == 0 < found["stage 2, padded"]["data/padding_share"]
