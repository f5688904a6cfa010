"""The words every other file speaks: a study is what was done, its report what was said, its views what was seen.

These are plain values. Sources make them, shards store them; nothing in here reads a file or imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

Position = Literal["frontal", "lateral", "unknown"]
"""Side from which the beam came, as far as a report's reader needs it: PA and AP are both frontal."""

Split = Literal["train", "validate", "test"]
"""The three uses of a study. A patient's studies all have the same one."""

POSITIONS: tuple[Position, ...] = get_args(Position)
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class View:
    """One radiograph of a study.

    Attributes:
        path: The image file: PNG, JPEG or DICOM.
        position: Frontal, lateral, or unknown where the source does not say.
    """

    path: Path
    position: Position = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """What the radiologist wrote, section by section; an absent section is the empty string.

    Attributes:
        text: The whole report as it came, before any cleaning.
        indication: Why the study was done (also written HISTORY, REASON FOR EXAM).
        technique: How it was done.
        comparison: Which earlier studies the reader had.
        findings: What is seen.
        impression: What it means (also written CONCLUSION).
        amended: Whether an addendum corrects it in prose, so that its sections may no longer hold.
    """

    text: str = ""
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    amended: bool = False


@dataclass(frozen=True, slots=True)
class Study:
    """One visit to the X-ray room: the views taken and the report written about them.

    Attributes:
        study_id: The study's name in its source.
        patient_id: The patient's name in its source. It never reaches a shard or a log unhashed.
        views: The radiographs, the primary (frontal) one first; none where there is text alone.
        report: The report about all views together.
        source: Where the study comes from, for provenance ("openi", "table", "phantoms").
        licence: The licence of image and text, for provenance.
        split: The use that the source prescribes, or None where it prescribes none.
        labels: Located findings known to be true ("pleural_effusion:left"), or None where nobody knows.
        turns: Question and answer pairs that the source brings of its own.
        taken: When it was done, in words that sort by time ("21800506 213014.531"): it orders a patient's studies and
            never reaches a shard or a log.
        observations: CheXpert's observations as the source labels them: name, and 1 (there), 0 (not there) or -1
            (uncertain); None where it does not.
        summary: A summary that was written elsewhere (`cxr summarize`); empty where rules are to write it.
    """

    study_id: str
    patient_id: str
    views: tuple[View, ...]
    report: Report
    source: str = ""
    licence: str = ""
    split: Split | None = None
    labels: tuple[str, ...] | None = None
    turns: tuple[tuple[str, str], ...] = field(default=())
    taken: str = ""
    observations: tuple[tuple[str, int], ...] | None = None
    summary: str = ""
