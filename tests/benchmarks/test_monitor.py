"""What watching costs is measured, at a size that says nothing of the cost."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.fitting import ROOT, environment


def test_watching_is_measured(tmp_path):
    small = ["--steps", "16", "--width", "48", "--layers", "1", "--every", "2", "--json", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, "benchmarks/monitor.py", *map(str, small)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "% of the step" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert 0 < found["hooks_ms"] < found["step_ms"]
