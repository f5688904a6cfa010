"""Studies enter, a file of lines leaves from which any one is read again by its place: an archive that needs no memory.

The file holds reports as they came, so nobody but its owner may read it, and packing removes it when it is done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from cxr_lightning.reports.sources import Found
from cxr_lightning.study import Report, Study, View


def create(path: Path) -> BinaryIO:
    """Opens a new file that only its owner can read.

    Args:
        path: Where; what is there is replaced.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=1 << 20)


def line_of(found: Found) -> bytes:
    """Writes a study as a line.

    Args:
        found: The study, and where it was found.
    """
    study, report = found.study, found.study.report
    table = {
        "where": found.where,
        "study_id": study.study_id,
        "patient_id": study.patient_id,
        "views": [[str(view.path), view.position] for view in study.views],
        "report": [
            report.text, report.indication, report.technique, report.comparison, report.findings, report.impression,
            report.amended,
        ],
        "source": study.source,
        "licence": study.licence,
        "split": study.split,
        "labels": study.labels,
        "turns": study.turns,
        "taken": study.taken,
        "observations": study.observations,
        "summary": study.summary,
    }  # fmt: skip
    # Half a surrogate pair, which JSON can write and UTF-8 cannot, comes back as it was.
    return json.dumps(table, separators=(",", ":")).encode() + b"\n"


def study_of(line: bytes) -> Found:
    """Reads a line back.

    Args:
        line: What `line_of` wrote.
    """
    table: dict[str, Any] = json.loads(line)
    labels, observations = table["labels"], table["observations"]
    study = Study(
        study_id=table["study_id"],
        patient_id=table["patient_id"],
        views=tuple(View(Path(path), position) for path, position in table["views"]),
        report=Report(*table["report"]),
        source=table["source"],
        licence=table["licence"],
        split=table["split"],
        labels=None if labels is None else tuple(labels),
        turns=tuple((question, answer) for question, answer in table["turns"]),
        taken=table["taken"],
        observations=None if observations is None else tuple((name, value) for name, value in observations),
        summary=table["summary"],
    )
    return Found(study, table["where"])


def read_at(file: BinaryIO, offset: int) -> Found:
    """Reads one study of an open spool.

    Args:
        file: The spool.
        offset: Where its line begins.
    """
    file.seek(offset)
    return study_of(file.readline())
