"""No study takes another's place, and a name that ReXrank cannot know is said to be one."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.rexrank import write_rexrank
from cxr_lightning.evaluation.tasks import Answer
from cxr_lightning.shards.identity import hashed

pytestmark = pytest.mark.quick


def written(out: Path, *studies: str) -> dict[str, str]:
    cases = [
        Case(f"k{number}", "p", "<image>", (b"",), ("frontal",), "Clear.", None, study=study)
        for number, study in enumerate(studies)
    ]
    answers = [Answer(case.key, "own", f"Said of {case.key}.", case.key) for case in cases]
    write_rexrank(out, cases, {answer.id: answer for answer in answers})
    content = json.loads((out / "rexrank.json").read_text())
    return {name: study["model_prediction"] for name, study in content.items()}


def test_a_second_sample_of_a_study_is_numbered(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    assert written(tmp_path, "s1", "s1", "s1-2", "s1", "s2") == {
        "s1": "Said of k0.",
        "s1-3": "Said of k1.",
        "s1-2": "Said of k2.",
        "s1-4": "Said of k3.",
        "s2": "Said of k4.",
    }
    assert not caplog.text


def test_hashes_are_said_to_be_hashes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    written(tmp_path, hashed("s1", "study"), "s2")
    assert "1 of 2 studies are named by hashes, which ReXrank does not know" in caplog.text
    assert "--keep_study_ids true" in caplog.text
