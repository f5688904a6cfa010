"""Answers on disk: predictions.jsonl, one line per study and image condition, in the order of the studies.

Written whole, once the last answer is there; `journal.py` keeps them until then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.tasks import CONDITIONS, Answer, TaskId
from cxr_lightning.findings.located import find
from cxr_lightning.model.likely import Likelihood

NAME = "predictions.jsonl"
RESULTS = ("metrics.json", "rexrank.json", "index.html")
"""What is made of the answers: gone as soon as these are others."""

Row = dict[str, Any]


class PredictionsError(ValueError):
    """A folder holds no answers of `cxr evaluate`, or damaged ones."""


def write_predictions(out: Path, cases: Sequence[Case], answers: Mapping[TaskId, Answer]) -> None:
    """Writes the file; what was made of other answers goes before.

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
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    write_text(out / NAME, text)


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
    rows: list[Row] = []
    seen: set[tuple[str, str]] = set()
    lines = path.read_bytes().split(b"\n")  # not at what else ends lines: a text may hold it
    for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
        row = _row_of(line)
        fault = "is no table of JSON" if row is None else _fault(row)
        if row is not None and not fault and (row["key"], row["condition"]) in seen:
            fault = "answers the same study under the same condition as a line before"
        if row is None or fault:
            raise PredictionsError(
                f"{path}, line {number}: not a row of answers as this version writes them: it {fault}. Remedy: "
                "evaluate again, with --overwrite true or into another --out."
            )
        seen.add((row["key"], row["condition"]))
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


def is_likelihood(told: Any) -> bool:
    """Says whether a table of JSON is a likelihood that could be one: finite, of at least a token.

    Args:
        told: What was read.
    """
    if not isinstance(told, dict) or told.keys() != {"nats", "tokens"}:
        return False
    nats = told["nats"]
    return (
        isinstance(nats, int | float) and not isinstance(nats, bool) and math.isfinite(nats) and _count(told["tokens"])
    )


def _row_of(line: bytes) -> Row | None:
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _fault(row: Row) -> str:
    """Says what is wrong with a row without what it says; nothing if it is sound."""
    for name, (is_one, kind) in _SOUND.items():
        if name not in row:
            return f'has no "{name}"'
        if not is_one(row[name]):
            return f'has "{name}" that is no {kind}'
    for name, (is_one, kind) in _OPTIONAL.items():
        if row.get(name) is not None and not is_one(row[name]):
            return f'has "{name}" that is no {kind}'
    return ""


def _text(told: Any) -> bool:
    return isinstance(told, str)


def _texts(told: Any) -> bool:
    return isinstance(told, list) and all(map(_text, told))


def _count(told: Any) -> bool:
    return isinstance(told, int) and not isinstance(told, bool) and told >= 0


_Check = tuple[Callable[[Any], bool], str]
_SOUND: dict[str, _Check] = {
    **dict.fromkeys(("key", "patient", "image_of", "prompt", "answer", "reference"), (_text, "text")),
    **dict.fromkeys(("views", "stated", "truth"), (_texts, "list of texts")),
    "condition": (lambda told: told in CONDITIONS, f"condition ({', '.join(CONDITIONS)})"),
}
_OPTIONAL: dict[str, _Check] = {
    "finish": (_text, "text"),
    "tokens": (_count, "count"),
    "likelihood": (is_likelihood, "likelihood (finite nats, tokens)"),
}


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
