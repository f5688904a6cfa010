"""The labeler and the phantoms' wording are held together: who changes one sees what the other makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.phantoms.anatomy import draw_exposure, draw_patient
from cxr_lightning.phantoms.catalogue import choose
from cxr_lightning.phantoms.wording import write_report

pytestmark = pytest.mark.quick


def test_every_phantom_report_is_read_as_it_was_meant() -> None:
    seen: set[str] = set()
    for number in range(600):
        rng = np.random.default_rng(number)
        patient, exposure = draw_patient(rng), draw_exposure(rng)
        findings = choose(rng, patient.chronic)
        report = write_report(rng, patient, exposure, findings, visit=number % 3)
        truth = {finding.label for finding in findings}
        assert find(f"{report.findings}\n{report.impression}") == truth
        assert find(report.text) == truth, "indication, technique and comparison add nothing"
        seen |= truth
    assert seen == set(LABELS)
