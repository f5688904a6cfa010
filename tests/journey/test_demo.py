"""The demo at a size that only shows that every station works; its scores mean nothing here."""

from __future__ import annotations

import json

import pytest

from tests.fitting import cxr

SIZE = ["--size.studies", 120, "--size.image", 128, "--size.tower_steps", 6, "--size.language_steps", 6]
EPOCHS = ["--size.align_epochs", 0.35, "--size.instruct_epochs", 0.35]
SCORES = ("findings_micro_f1", "findings_micro_f1_swapped", "findings_micro_f1_blank", "findings_micro_f1_commonest")


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_reaches_its_end(tmp_path):
    out = tmp_path / "demo"
    done = cxr("demo", "--out", out, *SIZE, *EPOCHS, seconds=800)
    metrics = json.loads((out / "metrics.json").read_text())
    assert all(0 <= metrics[score] <= 1 for score in SCORES)
    assert set(SCORES) <= set(metrics["intervals"])
    assert metrics["studies"] > 0
    page = (out / "index.html").read_text()
    assert "data:image" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (out / "model" / "config.json").is_file()
    for verb in ("phantoms", "pack", "fit", "export", "evaluate"):
        assert f"$ cxr {verb}" in done.stderr
    again = cxr("demo", "--out", out, *SIZE, *EPOCHS)
    assert again.stderr.count("is there already") == 7
    other = cxr("demo", "--out", out, check=False)
    assert other.returncode == 1
    assert "other settings" in other.stderr
