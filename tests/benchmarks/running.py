"""Runs a benchmark as people do, at a size that says nothing, and reads what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fitting import ROOT, environment


def found_by(folder: Path, script: str, *options: str) -> dict[str, Any]:
    """Returns the figures that a script of benchmarks/ writes as JSON."""
    figures = folder / "found.json"
    command = [sys.executable, f"benchmarks/{script}", *options, "--json", str(figures)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=400, env=environment(OMP_NUM_THREADS="1")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(figures.read_text())
