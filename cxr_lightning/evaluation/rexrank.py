"""The file that ReXrank's scripts take: studies with both sections of the reference, and what the model predicts.

Its study names are those of its own test sets; shards that were packed with --keep_study_ids have them, others hashes,
of which ReXrank makes nothing: that is said.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.tasks import Answer, TaskId

log = logging.getLogger(__name__)
NAME = "rexrank.json"
_HASH = re.compile(r"[0-9a-f]{24}")  # what `shards.identity.hashed` returns


def write_rexrank(out: Path, cases: Sequence[Case], answers: Mapping[TaskId, Answer]) -> None:
    """Writes the file.

    Args:
        out: The folder.
        cases: The studies.
        answers: Their answers; those to their own images are taken.
    """
    names = study_names(cases)
    content = {
        name: {
            "section_findings": case.findings,
            "section_impression": case.impression,
            "frontal_lateral": list(case.views),
            "context": f"Indication: {case.indication}" if case.indication else "",
            "split": case.split,
            "model_prediction": answers[case.key, "own"].text,
        }
        for name, case in zip(names, cases, strict=True)
    }
    hashes = sum(_HASH.fullmatch(case.study) is not None for case in cases)
    if hashes:
        log.info(
            "%s: %s of %s studies are named by hashes, which ReXrank does not know. Remedy, if it is for ReXrank: pack "
            "with --keep_study_ids true.",
            out / NAME,
            hashes,
            len(cases),
        )
    write_text(out / NAME, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def study_names(cases: Sequence[Case]) -> list[str]:
    """Names the studies as their source does, a second sample of one with a number: none takes another's place.

    Args:
        cases: The studies.

    Returns:
        A name each: `s1`, then `s1-2` for the second sample of `s1`.
    """
    taken = {case.study for case in cases}
    seen: set[str] = set()
    names = []
    for case in cases:
        name, number = case.study, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{case.study}-{number}"
        seen.add(name)
        names.append(name)
    return names
