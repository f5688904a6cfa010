"""The column names of a table of studies: what each is called unless the user says otherwise.

One dataclass, so that every name is an option of its own (`--columns.report caption`) with its default in the help.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

REQUIRED = ("study_id", "patient_id", "image")
TEXTS = ("report", "findings", "impression", "question", "turns")


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns.

    Args:
        study_id: Names the study; rows that share it are joined into one study.
        patient_id: Names the patient, whose studies all get the same split.
        image: Path of the image, relative to ROOT.
        view: Side the beam came from: PA, AP, frontal, lateral, LL ...
        report: The free text, split into sections by its headings.
        findings: The findings alone, where the table has them apart.
        impression: The impression alone, where the table has it apart.
        indication: Why the study was done.
        technique: How it was done.
        comparison: Which earlier studies the reader had.
        lateral: Path of a lateral image of the same study.
        split: train, validate or test, where the table prescribes it.
        labels: Known findings: a list, or words between semicolons ("normal" for known to be none).
        licence: Licence of image and text.
        question: A question about the image, used as it is.
        answer: The answer to that question.
        turns: Several questions and answers: a list of objects with "question" and "answer" (JSONL only).
    """

    study_id: str = "study_id"
    patient_id: str = "patient_id"
    image: str = "image"
    view: str = "view"
    report: str = "report"
    findings: str = "findings"
    impression: str = "impression"
    indication: str = "indication"
    technique: str = "technique"
    comparison: str = "comparison"
    lateral: str = "lateral"
    split: str = "split"
    labels: str = "labels"
    licence: str = "licence"
    question: str = "question"
    answer: str = "answer"
    turns: str = "turns"

    def missing_from(self, present: Collection[str], text_only: bool = False) -> list[str]:
        """Say which options name a column that a table lacks and cannot do without.

        Args:
            present: The table's column names.
            text_only: Whether studies may lack an image, and so the table the column.

        Returns:
            Names of our fields: the required ones that are absent, those set by hand that are absent, and "report"
            where no text column is there at all.
        """
        required = [name for name in REQUIRED if not (text_only and name == "image")]
        absent = [
            field.name
            for field in fields(self)
            if getattr(self, field.name) not in present
            and (field.name in required or getattr(self, field.name) != field.default)
        ]
        if not any(getattr(self, name) in present for name in TEXTS) and "report" not in absent:
            absent.append("report")
        return absent
