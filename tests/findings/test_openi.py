"""The labelers on real reports, beside Open-i's coders; the half that is held out was never looked at in tuning."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.benchmarks.running import found_by
from tests.fitting import ROOT

ARCHIVE = Path(os.environ.get("CXR_REAL_DATA", "absent"), "openi", "NLMCXR_reports_dev.tgz")
REPORT = """<eCitation><uId id="CXR{number}"/><AbstractText Label="FINDINGS">{text}</AbstractText>
<MeSH><major>{term}</major></MeSH></eCitation>"""


@pytest.mark.real
@pytest.mark.skipif(not ARCHIVE.is_file(), reason="CXR_REAL_DATA names no folder with openi/NLMCXR_reports_dev.tgz")
def test_agrees_with_people_who_coded_real_reports(tmp_path: Path) -> None:
    found = found_by(tmp_path, "labeler.py", "--reports", str(ARCHIVE), "--rounds", "1")
    observed, located = (found[name]["held out"] for name in ("observations", "located"))
    assert observed["reports"] > 1400
    assert observed["micro_f1"] > 0.93
    assert located["micro_f1"] > 0.92
    assert found["speed"]["cold"][0] > 1000, "the floor is half the target, for busy machines"
    page = (ROOT / "docs" / "labeler.md").read_text()
    for name, row in observed["findings"].items():
        assert f"| {name} | {row['coded']} | {row['f1']:.3f} ({row['low']:.2f} to {row['high']:.2f})" in page


def test_the_measurement_works_at_a_size_that_says_nothing(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "reports.tgz", "w:gz") as tar:
        for number in range(8):
            text, term = (("Left effusion.", "Pleural Effusion/left"), ("Lungs are clear.", "normal"))[number % 2]
            path = tmp_path / f"{number}.xml"
            path.write_text(REPORT.format(number=number, text=text, term=term))
            tar.add(path, path.name)
    found = found_by(tmp_path, "labeler.py", "--reports", str(tmp_path / "reports.tgz"), "--rounds", "1")
    for name, label in (("observations", "Pleural Effusion"), ("located", "pleural_effusion:left")):
        halves = found[name].values()
        assert sum(half["reports"] for half in halves) == 8
        assert all(half["micro_f1"] == 1.0 and set(half["findings"]) <= {label} for half in halves)
