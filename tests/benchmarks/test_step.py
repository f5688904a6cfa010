"""The step's measurement works, at a size that says nothing of speed, and ours computes what a plain loop computes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.fitting import ROOT, environment


def test_the_step_is_measured_and_its_losses_are_those_of_a_plain_loop(tmp_path):
    small = ["--tiny", "--stages", "2", "--samples", "4", "--steps", "2", "--rounds", "1"]
    ways = ["--only", "ours", "ours, features", "Trainer"]
    done = subprocess.run(
        [sys.executable, "benchmarks/step.py", *small, *ways, "--json", str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=400,
        env=environment(CXR_REAL_DATA="", OMP_NUM_THREADS="1"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["16 image tokens, stage 2"]
    ours, theirs = found["ours"][0], found["Trainer"][0]
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    featured = found["ours, features"][0]
    assert featured["losses"] == ours["losses"]
    assert featured["filling_cpu_s"] > 0
    assert "ours, features" in done.stdout
    assert len(ours["losses"]) == 3
    assert ours["cpu_rate"] > 0
    assert 0 < ours["grown_mib"] < ours["peak_mib"]
