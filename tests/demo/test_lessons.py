from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.demo.lessons import KIND, Box, LessonError, patch_labels, read_lessons, read_pictures, study_labels
from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.splits import Fractions, split_of

pytestmark = pytest.mark.quick

shares = st.floats(0.0, 0.9)
EVERYBODY = Fractions(1.0, 0.0, 0.0)


def test_lessons_hold_what_the_archive_says(archive: Path) -> None:
    lessons = read_lessons(archive, EVERYBODY)
    assert len(lessons) == 40
    for lesson in lessons:
        assert find(lesson.summary) == {LABELS[kind] for kind in lesson.kinds}
        assert {box.kind for box in lesson.boxes} == lesson.kinds
    labels_NK = study_labels(lessons)
    assert labels_NK.shape == (40, len(LABELS))
    assert labels_NK.sum() == sum(len(lesson.kinds) for lesson in lessons)


def test_only_train_patients_prepare_anything(archive: Path) -> None:
    taught = {lesson.image.stem for lesson in read_lessons(archive)}
    train = {str(number) for number in range(40) if split_of(hashed(f"p{number}", "patient"), Fractions()) == "train"}
    assert taught == train
    assert 0 < len(taught) < 40


@pytest.mark.parametrize("side", [32, 64, 96])
def test_pictures_come_at_the_side_asked_for(archive: Path, side: int) -> None:
    pictures_NSS = read_pictures(read_lessons(archive)[:3], side)
    assert pictures_NSS.shape == (3, side, side)
    assert pictures_NSS.dtype == np.uint8


@given(left=shares, top=shares, width=st.floats(0.01, 0.5), height=st.floats(0.01, 0.5))
def test_every_box_in_the_picture_marks_some_patch_and_none_it_does_not_touch(
    left: float, top: float, width: float, height: float
) -> None:
    shown_GGK = patch_labels([Box(3, left, top, left + width, top + height)], grid=8)
    assert shown_GGK[..., 3].any()
    assert not np.delete(shown_GGK, 3, axis=-1).any()
    for row, column in zip(*np.nonzero(shown_GGK[..., 3]), strict=True):
        assert column / 8 < left + width
        assert (column + 1) / 8 > left
        assert row / 8 < top + height
        assert (row + 1) / 8 > top


def test_a_box_moves_with_its_picture() -> None:
    box = Box(KIND["cardiomegaly"], 0.25, 0.25, 0.5, 0.5)
    moved = patch_labels([box], grid=8, shift=(0.125, 0.25))
    assert np.array_equal(moved, np.roll(patch_labels([box], grid=8), (2, 1), axis=(0, 1)))


def test_a_box_moved_out_of_the_picture_marks_nothing() -> None:
    assert not patch_labels([Box(0, 0.9, 0.9, 1.0, 1.0)], grid=8, shift=(0.2, 0.0)).any()


@pytest.mark.parametrize(
    "row",
    [
        {"patient_id": "p", "image": "a.png", "report": "FINDINGS: Clear."},
        {"patient_id": "p", "image": "a.png", "report": "Clear.", "labels": ["fracture"], "boxes": []},
        {
            "patient_id": "p",
            "image": "a.png",
            "report": "Clear.",
            "labels": ["cardiomegaly"],
            "boxes": [{"label": "cardiomegaly"}],
        },
    ],
)
def test_a_row_that_is_no_phantom_is_named_with_its_line(tmp_path: Path, row: dict[str, object]) -> None:
    (tmp_path / "studies.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(LessonError, match=r"line 1.*Remedy"):
        read_lessons(tmp_path, EVERYBODY)


def test_an_empty_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "studies.jsonl").write_text("")
    with pytest.raises(LessonError, match="no studies"):
        read_lessons(tmp_path, EVERYBODY)
