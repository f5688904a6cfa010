"""Reads a source whole: what tests ask of every source alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cxr_lightning.reports.sources import Flaw, Found, Reading, open_source
from cxr_lightning.study import Study

TEXTS = Reading(images=False)
TEXT_TOO = Reading(text_only=True)


def read(name: str, root: Path, reading: Reading | None = None) -> tuple[list[Study], list[Flaw]]:
    """Studies and flaws, after checks that hold for every source."""
    items = list(open_source(name, root, reading))
    studies = [item.study for item in items if isinstance(item, Found)]
    flaws = [item for item in items if isinstance(item, Flaw)]
    names = Counter(study.study_id for study in studies)
    assert all(count == 1 for count in names.values()), "two studies of one name"
    assert all(study.patient_id and study.study_id for study in studies)
    assert all(view.path.is_file() for study in studies for view in study.views)
    return studies, flaws


def kinds(flaws: list[Flaw]) -> dict[str, int]:
    """How often each kind of flaw is there."""
    return dict(Counter(flaw.kind for flaw in flaws))
