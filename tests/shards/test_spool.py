"""A study that was put down as a line comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import Found
from cxr_lightning.shards.spool import line_of, study_of
from cxr_lightning.study import Report, Study, View

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("amended", [True, False])
def test_a_study_comes_back_from_its_line(amended):
    report = Report("all \ud800", "why", "how", "before", "seen", "meant", amended=amended)
    views = (View(Path("a.png"), "frontal"), View(Path("b.png")))
    study = Study(
        "s", "p", views, report, "made", "CC0", "test", ("x:left",), (("Q?", "A."),), "2180", (("Edema", -1),), "short"
    )
    line = line_of(Found(study, "here"))
    assert study_of(line) == Found(study, "here")
    assert line.endswith(b"\n")
    assert json.loads(line)["report"][-1] is amended
