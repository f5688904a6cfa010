"""Answers on disk are read as they were written, or the line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.predictions import (
    RESULTS,
    PredictionsError,
    answers_of,
    read_predictions,
    write_predictions,
)
from cxr_lightning.evaluation.tasks import Answer
from cxr_lightning.model.likely import Likelihood

pytestmark = pytest.mark.quick
CASE = Case("k", "p", "<image>", (b"",), ("frontal",), "Clear lungs.", None)
OWN = Answer("k", "own", "Groß.\u2028Klar.", "k", "stop", 3, Likelihood(1.5, 2))
BLANK = Answer("k", "blank", "Nothing.", "k", "refused")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_predictions(tmp_path, [CASE], {OWN.id: OWN, BLANK.id: BLANK})
    return tmp_path


def spoil(out: Path, **changed: Any) -> None:
    """Changes the second row."""
    lines = (out / "predictions.jsonl").read_text().split("\n")
    lines[1] = json.dumps({**json.loads(lines[1]), **changed})
    (out / "predictions.jsonl").write_text("\n".join(lines))


def test_what_was_written_is_read(out: Path):
    assert answers_of(read_predictions(out)) == {OWN.id: OWN, BLANK.id: BLANK}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"answer": None}, '"answer" that is no text'),
        ({"key": 5}, '"key" that is no text'),
        ({"truth": None}, '"truth" that is no list of texts'),
        ({"views": ["frontal", 1]}, '"views" that is no list of texts'),
        ({"condition": "dark"}, '"condition" that is no condition'),
        ({"condition": ["own"]}, '"condition" that is no condition'),
        ({"condition": "own"}, "the same study under the same condition"),
        ({"tokens": True}, '"tokens" that is no count'),
        ({"likelihood": {"nats": 1}}, '"likelihood" that is no likelihood'),
        ({"likelihood": {"nats": float("nan"), "tokens": 2}}, '"likelihood" that is no likelihood'),
        ({"likelihood": {"nats": "1", "tokens": 2}}, '"likelihood" that is no likelihood'),
        ({"likelihood": 5}, '"likelihood" that is no likelihood'),
    ],
)
def test_a_damaged_row_is_named(out: Path, changed: dict[str, Any], told: str):
    spoil(out, **changed)
    with pytest.raises(PredictionsError, match=rf"predictions.jsonl, line 2: .*{told}.*Remedy: evaluate again"):
        read_predictions(out)


@pytest.mark.parametrize("line", [b"5", b"null", b"{", b"[" * 20_000, b'{"key": "gro\xc3'])
def test_a_line_that_is_no_row_is_named_even_at_the_end(out: Path, line: bytes):
    file = out / "predictions.jsonl"
    file.write_bytes(file.read_bytes() + line)
    with pytest.raises(PredictionsError, match=r"line 3: .*no table of JSON"):
        read_predictions(out)


def test_a_missing_last_newline_costs_no_row(out: Path):
    file = out / "predictions.jsonl"
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    assert len(read_predictions(out)) == 2


def test_scores_of_other_answers_go_when_answers_come(out: Path):
    for name in RESULTS:
        (out / name).write_text("of before")
    write_predictions(out, [CASE], {OWN.id: OWN})
    assert [path.name for path in out.iterdir()] == ["predictions.jsonl"]
