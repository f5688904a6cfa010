"""The measurement of packing works, at a size that says nothing of speed."""

from __future__ import annotations

from tests.benchmarks.running import found_by


def test_packing_is_measured_beside_a_bare_loop(tmp_path):
    small = ("--images", "24", "--files", "2", "--repeats", "1", "--scale", "16", "--kinds", "jpeg", "dicom")
    found = found_by(tmp_path, "pack.py", *small)
    assert found.keys() == {"jpeg", "dicom"}
    assert all(each["of_ours"] > 0 and each["pack_cpu_s"] > 0 for each in found.values())
    assert "of_pillow" in found["jpeg"]
