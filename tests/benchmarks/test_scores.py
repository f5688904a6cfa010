"""The scores' measurement works, and each score is the reference package's on reports of stock sentences."""

from __future__ import annotations

from tests.benchmarks.running import found_by


def test_each_score_is_measured_and_equal(tmp_path):
    found = found_by(tmp_path, "scores.py", "--pairs", "60")
    assert found["pairs"] == 60
    assert found["scores"].keys() == {"ROUGE-1, 2, L", "BLEU-1 to 4", "chrF", "METEOR", "CIDEr-D"}
    assert all(each["furthest"] < 1e-6 and each["ours"] > 0 for each in found["scores"].values())
