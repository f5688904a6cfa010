"""What is asked of a study is what its reference answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.evaluation.cases import Case, read_cases
from cxr_lightning.reports.conversations import DESCRIBE, Style, split_shown
from cxr_lightning.shards import preparation
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions

pytestmark = pytest.mark.quick
REPORT = "FINDINGS: The heart is enlarged. The lungs are clear.\nIMPRESSION: Cardiomegaly."
Read = Callable[..., list[Case]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Packs studies of one film, with a lateral one where asked, and reads them as cases."""

    def read(*studies: dict[str, Any], style: Style = "describe", lateral: bool = False) -> list[Case]:
        rows = []
        for number, cells in enumerate(studies):
            for name in (f"{number}.png", f"{number}.side.png"):
                Image.fromarray(np.pad(np.full((18, 14), number, np.uint8), 1, constant_values=255)).save(
                    tmp_path / name
                )
            row = {"study_id": f"s{number}", "patient_id": f"p{number}", "image": f"{number}.png", "view": "PA"}
            rows.append({**row, **({"lateral": f"{number}.side.png"} if lateral else {}), **cells})
        (tmp_path / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        pack("table", tmp_path, out=tmp_path / "out", split=Fractions(0, 0, 1), conversation=style, overwrite=True)
        return read_cases(read_index(tmp_path / "out"), "test")

    return read


def test_the_report_is_asked_for_where_it_is_the_reference(read: Read) -> None:
    cases = read(*[{"report": REPORT, "labels": ["cardiomegaly"]} for _ in range(40)], style="mixed")
    assert all(case.reference == "The heart is enlarged. The lungs are clear. Cardiomegaly." for case in cases)
    parts = [split_shown(case.prompt) for case in cases]
    assert all(question in DESCRIBE for _, question in parts)
    assert len({question for _, question in parts}) > 3
    assert {shown for shown, _ in parts} == {"<image>\n", "<image>\nView: frontal.\n\n"}
    assert all(len(case.images) == 1 for case in cases)


def test_the_samples_own_request_is_kept_wherever_it_stands(read: Read) -> None:
    summary = "The lungs are clear."
    turns = [{"question": "Any line?", "answer": "No."}, {"question": "All of it, please.", "answer": summary}]
    (case,) = read({"report": f"FINDINGS: {summary}", "turns": turns})
    assert (case.prompt, case.reference) == ("<image>\nAll of it, please.", summary)


def test_a_source_of_questions_without_reports_is_asked_its_first(read: Read) -> None:
    (case,) = read({"question": "Any line?", "answer": "No."})
    assert (case.prompt, case.reference) == ("<image>\nAny line?", "No.")


def test_a_request_shows_as_many_images_as_the_conversation(read: Read) -> None:
    pair = {"question": "<image>\n<image>\nAny line?", "answer": "No."}
    (case,) = read({"report": REPORT, **pair}, lateral=True)
    assert case.prompt.startswith("<image>\n<image>\n")
    assert case.prompt.removeprefix("<image>\n<image>\n") in DESCRIBE
    assert case.views == ("frontal", "lateral")


def test_more_marks_than_images_are_named(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    # As shards say that were packed before packing looked.
    monkeypatch.setattr(preparation, "IMAGE_MARK", "no such mark", raising=False)
    with pytest.raises(ShardError, match=r"Sample [0-9a-f]{24}: its question marks 2 images .* 1 are stored"):
        read({"question": "<image>\n<image>\nAny line?", "answer": "No."})
