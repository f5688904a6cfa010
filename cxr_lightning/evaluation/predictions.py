"""Answers on disk: predictions.jsonl, one line per study and image condition.

Enters answers as they come; leaves a file in the order of the studies. While a run goes on the lines stand in
predictions.partial.jsonl, so that a stopped run shows what it had and nobody takes it for a finished one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.findings.located import find

if TYPE_CHECKING:
    from cxr_lightning.evaluation.generate import Answer

NAME = "predictions.jsonl"
_PARTIAL = "predictions.partial.jsonl"


def record_answers(out: Path, cases: Mapping[str, Case], answers: Iterable[Answer]) -> Iterator[Answer]:
    """Writes answers as they pass, and the whole file in order once the last one has passed.

    Args:
        out: Folder to write to; made if absent.
        cases: The studies by key, in the order that the file shall have.
        answers: What the model says.

    Yields:
        The same answers.
    """
    out.mkdir(parents=True, exist_ok=True)
    partial = out / _PARTIAL
    rows: list[tuple[int, str]] = []
    place = {key: position for position, key in enumerate(cases)}
    with partial.open("w", encoding="utf-8") as file:
        for answer in answers:
            line = json.dumps(_row(cases[answer.key], answer), ensure_ascii=False) + "\n"
            file.write(line)
            file.flush()
            rows.append((place[answer.key], line))
            yield answer
    order = sorted(rows, key=lambda row: (row[0], json.loads(row[1])["condition"]))
    partial.write_text("".join(line for _, line in order), encoding="utf-8")
    partial.replace(out / NAME)


def _row(case: Case, answer: Answer) -> dict[str, Any]:
    return {
        "key": answer.key,
        "condition": answer.condition,
        "image_of": answer.shown,
        "prompt": case.prompt,
        "answer": answer.text,
        "reference": case.reference,
        "stated": sorted(find(answer.text)),
        "truth": sorted(case.truth),
    }
