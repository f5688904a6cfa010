"""The measurement of resuming works, at a size that says nothing of speed."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.fitting import ROOT


def test_resume_is_measured(tmp_path):
    small = ["--samples", "3000", "--studies", "40", "--repeats", "1", "--json", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, "benchmarks/resume.py", *map(str, small)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "at 90 % of an epoch" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["grown_mb"] < 200
    assert found["late_s"] > 0
