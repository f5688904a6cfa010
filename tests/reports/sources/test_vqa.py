"""Questions and answers about images, one object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.reports.sources import SourceError
from tests.reports.sources.found import TEXTS, kinds, read

pytestmark = pytest.mark.quick
REAL = os.environ.get("CXR_REAL_DATA")

QA = [{"question": "Enlarged?", "answer": "No"}, {"question": "How many ribs?", "answer": 12}]


def write(folder: Path, *rows: Any, images: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Path:
    (folder / "vqa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for image in images:
        (folder / image).touch()
    return folder


def test_an_image_is_a_study(tmp_path):
    rows = [
        {"id": "one", "image": "a.jpg", "view": "PA", "qa": QA, "license": "CC0-1.0"},
        {"image": "b.jpg", "question": "Clear?", "answer": "Yes", "split": "test"},
        {"id": "one more", "image": "a.jpg", "qa": [{"question": "Tube?", "answer": "No"}]},
    ]
    (first, second), flaws = read("vqa-jsonl", write(tmp_path, *rows))
    assert not flaws
    assert first.turns == (("Enlarged?", "No"), ("How many ribs?", "12"), ("Tube?", "No"))
    assert (first.study_id, first.patient_id, first.licence) == ("one", "one", "CC0-1.0")
    assert first.views[0].position == "frontal"
    assert (second.study_id, second.turns, second.split) == ("b.jpg", (("Clear?", "Yes"),), "test")


def test_what_cannot_be_used_says_why(tmp_path):
    rows = [
        {"id": "1", "image": "a.jpg", "qa": QA},
        {"id": "1", "image": "b.jpg", "qa": QA},
        {"id": "2", "qa": QA},
        {"id": "3", "image": "gone.jpg", "qa": QA},
        {"id": "4", "image": "../a.jpg", "qa": QA},
        {"id": "5", "image": "c.jpg", "qa": [{"question": "Why?", "answer": ""}]},
        {"id": "6", "image": "d.jpg", "qa": "none"},
        {"id": "7", "image": "e.jpg"},
        [],
    ]
    images = tuple(f"{letter}.jpg" for letter in "abcde")
    kept, flaws = read("vqa-jsonl", write(tmp_path, *rows, images=images))
    assert [study.study_id for study in kept] == ["1"]
    expected = {"study again": 1, "row incomplete": 4, "image missing": 1, "path leads out": 1, "row unreadable": 1}
    assert kinds(flaws) == expected


def test_which_file_is_meant(tmp_path):
    with pytest.raises(SourceError, match=r"give a \.jsonl file"):
        read("vqa-jsonl", tmp_path)
    write(tmp_path, {"image": "a.jpg", "qa": QA})
    (tmp_path / "other.jsonl").touch()
    assert len(read("vqa-jsonl", tmp_path)[0]) == 1


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real studies")
@pytest.mark.parametrize("texts", [False, True])
def test_the_real_questions(texts):
    kept, flaws = read("vqa-jsonl", Path(REAL or "") / "open", TEXTS if texts else None)
    assert (len(kept), flaws) == (55, [])
    assert all(study.turns and study.licence.startswith("CC0") for study in kept)
    assert all(len(study.views) == (0 if texts else 1) for study in kept)
