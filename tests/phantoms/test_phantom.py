"""A study is a function of seed and number, and its report tells its truth, before and after cleaning."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.findings.located import LABELS as KNOWN
from cxr_lightning.findings.located import find
from cxr_lightning.phantoms import draw_study
from cxr_lightning.phantoms.catalogue import LABELS
from cxr_lightning.phantoms.phantom import SMALLEST, Phantom
from cxr_lightning.reports.sections import split_sections
from cxr_lightning.reports.summarize import summarize

pytestmark = pytest.mark.quick

seeds = st.integers(0, 2**31)
numbers = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def many() -> list[Phantom]:
    return [draw_study(2, number, SMALLEST) for number in range(96)]


def test_same_labels_as_the_labeler() -> None:
    assert set(LABELS) == set(KNOWN)


def test_films_of_one_number_are_alike_and_of_two_are_not() -> None:
    first, again, other = draw_study(3, 5, 64), draw_study(3, 5, 64), draw_study(3, 6, 64)
    assert np.array_equal(first.image_HW, again.image_HW)
    assert first.report == again.report
    assert not np.array_equal(first.image_HW, other.image_HW)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, number=numbers)
def test_report_tells_the_truth(seed: int, number: int) -> None:
    study = draw_study(seed, number, SMALLEST)
    truth = frozenset(study.labels)
    assert find(study.report.findings) == truth
    assert find(f"{study.report.findings} {study.report.impression}") == truth
    sections = split_sections(study.report.text)
    assert (sections.findings, sections.impression) == (study.report.findings, study.report.impression)
    # Sentences about earlier studies are dropped before training; no finding may live in them alone.
    assert find(summarize(sections)) == truth


@settings(max_examples=25, deadline=None)
@given(seed=seeds, number=numbers, size=st.sampled_from([64, 96, 128]))
def test_every_finding_has_a_box(seed: int, number: int, size: int) -> None:
    study = draw_study(seed, number, size)
    assert {label for label, _ in study.boxes} == set(study.labels)
    for _, (x0, y0, x1, y1) in study.boxes:
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1


def test_patients_come_back(many: list[Phantom]) -> None:
    visits = Counter(study.patient_id for study in many)
    assert set(visits.values()) == {1, 2, 3, 4}


def test_reports_have_the_length_of_reports(many: list[Phantom]) -> None:
    words = [len(study.report.findings.split()) for study in many]
    assert min(words) >= 12
    assert max(words) <= 70
    assert 25 <= np.mean(words) <= 55


def test_some_studies_have_a_lateral(many: list[Phantom]) -> None:
    share = np.mean([study.lateral_HW is not None for study in many])
    assert 0.15 < share < 0.45


def test_words_are_few(many: list[Phantom]) -> None:
    words = {word for study in many for word in study.report.text.lower().split()}
    assert 120 < len(words) < 450


@pytest.mark.parametrize(("seed", "number", "size"), [(-1, 0, 64), (0, -1, 64), (0, 0, 16)])
def test_refuses_what_cannot_be_drawn(seed: int, number: int, size: int) -> None:
    with pytest.raises(ValueError, match="size of 64 or more"):
        draw_study(seed, number, size)
