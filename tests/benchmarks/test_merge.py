"""The merge's measurement works, at a size that says nothing of speed, and what it holds ours against holds."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.fitting import ROOT, environment


def test_each_way_merges_and_ours_is_the_reference(tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/merge.py", "--tiny", "--rounds", "1", "--json", str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=400,
        env=environment(OMP_NUM_THREADS="1"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.keys() == {"ours", "PEFT", "cxr export"}
    for way in ("ours", "cxr export"):
        assert found[way]["equal"] == found[way]["total"] > 20
    assert all(each["seconds"] > 0 and each["mib"] > 100 for each in found.values())
