"""Answers on disk: predictions.jsonl, one line per study and image condition, in the order of the studies.

Written whole, once the last answer is there; `journal.py` keeps them until then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.tasks import CONDITIONS, Answer, TaskId
from cxr_lightning.findings.located import find
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.shards.durable import write_text

NAME = "predictions.jsonl"
Row = dict[str, Any]
_NEEDED = {"key", "patient", "views", "condition", "image_of", "prompt", "answer", "reference", "stated", "truth"}


class PredictionsError(ValueError):
    """A folder holds no answers of `cxr evaluate`, or damaged ones."""


def write_predictions(out: Path, cases: Sequence[Case], answers: Mapping[TaskId, Answer]) -> None:
    """Writes the file.

    Args:
        out: The folder.
        cases: The studies, in order.
        answers: An answer to each and under each condition that was asked.
    """
    rows = [
        _row(case, answers[case.key, condition])
        for case in cases
        for condition in CONDITIONS
        if (case.key, condition) in answers
    ]
    write_text(out / NAME, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_predictions(out: Path) -> list[Row]:
    """Reads the file.

    Args:
        out: The folder.

    Returns:
        A row a study and condition; `docs/evaluation.md` says what it holds.

    Raises:
        PredictionsError: There is none, or it is damaged.
    """
    path = out / NAME
    if not path.is_file():
        raise PredictionsError(
            f"{path} does not exist. Remedy: name a folder that `cxr evaluate` has finished; where it was stopped, "
            "the same command goes on."
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not row.keys() >= _NEEDED:
            raise PredictionsError(
                f"{path}, line {number}: not a row of answers as this version writes them. Remedy: evaluate again."
            )
        rows.append(row)
    return rows


def answers_of(rows: Sequence[Row]) -> dict[TaskId, Answer]:
    """Takes answers out of rows again.

    Args:
        rows: What `read_predictions` returned.
    """
    found = [
        Answer(
            key=row["key"],
            condition=row["condition"],
            text=row["answer"],
            shown=row["image_of"],
            finish=row.get("finish"),
            tokens=row.get("tokens"),
            likelihood=None if row.get("likelihood") is None else Likelihood(**row["likelihood"]),
        )
        for row in rows
    ]
    return {answer.id: answer for answer in found}


def _row(case: Case, answer: Answer) -> Row:
    return {
        "key": case.key,
        "patient": case.patient,
        "views": list(case.views),
        "condition": answer.condition,
        "image_of": answer.shown,
        "prompt": case.prompt,
        "answer": answer.text,
        "reference": case.reference,
        "stated": sorted(find(answer.text)),
        "truth": sorted(case.truth),
        "finish": answer.finish,
        "tokens": answer.tokens,
        "likelihood": None if answer.likelihood is None else asdict(answer.likelihood),
    }
