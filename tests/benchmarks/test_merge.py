"""The merge's measurement works, at a size that says nothing of speed, and what it holds ours against holds."""

from __future__ import annotations

from tests.benchmarks.running import found_by


def test_each_way_merges_and_ours_is_the_reference(tmp_path):
    found = found_by(tmp_path, "merge.py", "--tiny", "--rounds", "1")
    assert found.keys() == {"ours", "PEFT", "cxr export"}
    for way in ("ours", "cxr export"):
        assert found[way]["equal"] == found[way]["total"] > 20
    assert all(each["seconds"] > 0 and each["mib"] > 100 for each in found.values())
