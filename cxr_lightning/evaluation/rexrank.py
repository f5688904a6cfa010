"""The file that ReXrank's scripts take: studies with both sections of the reference, and what the model predicts.

Its study names are those of its own test sets; shards that were packed with --keep_study_ids have them, others hashes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.tasks import Answer, TaskId
from cxr_lightning.shards.durable import write_text

NAME = "rexrank.json"


def write_rexrank(out: Path, cases: Sequence[Case], answers: Mapping[TaskId, Answer]) -> None:
    """Writes the file.

    Args:
        out: The folder.
        cases: The studies.
        answers: Their answers; those to their own images are taken.
    """
    content = {
        case.study: {
            "section_findings": case.findings,
            "section_impression": case.impression,
            "frontal_lateral": list(case.views),
            "context": f"Indication: {case.indication}" if case.indication else "",
            "split": case.split,
            "model_prediction": answers[case.key, "own"].text,
        }
        for case in cases
    }
    write_text(out / NAME, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
