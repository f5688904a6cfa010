"""Evaluations as `cxr evaluate` leaves them, of models whose skill is known because it was written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SENTENCES = {
    "pleural_effusion:left": "Small left pleural effusion.",
    "pleural_effusion:right": "Moderate right pleural effusion.",
    "pneumothorax:left": "Left apical pneumothorax.",
    "cardiomegaly": "The heart is enlarged.",
    "nodule:right-upper": "There is a 2 cm nodule in the right upper zone.",
    "pacemaker": "Dual-lead pacemaker in place.",
}
CLEAR = "The lungs are clear."
COMMONEST = f"{CLEAR} Heart size is normal."


@dataclass(frozen=True)
class Study:
    """One study of a written evaluation."""

    key: str
    patient: str
    truth: frozenset[str]
    views: tuple[str, ...] = ("frontal",)
    reference: str = ""
    prompt: str = "<image>\nDescribe the radiograph."

    @property
    def text(self) -> str:
        return self.reference or report(self.truth)


def report(labels: frozenset[str] | set[str]) -> str:
    """Says findings; what is not there is not spoken of."""
    return " ".join(SENTENCES[label] for label in sorted(labels)) or COMMONEST


def draw_studies(count: int, seed: int = 0, patients: int | None = None) -> list[Study]:
    """Draws studies with up to three findings, some of them normal, a third with a lateral film."""
    draw = np.random.default_rng(seed)
    return [
        Study(
            key=f"study-{number:04}",
            patient=f"patient-{number % (patients or max(1, count * 2 // 3))}",
            truth=frozenset(draw.choice(list(SENTENCES), size=draw.integers(0, 4), replace=False).tolist()),
            views=("frontal", "lateral") if number % 3 == 0 else ("frontal",),
        )
        for number in range(count)
    ]


def seeing(studies: Sequence[Study], errors: float, seed: int = 1) -> list[str]:
    """Answers of a model that reads the films, and errs in a share of findings."""
    draw = np.random.default_rng(seed)
    answers = []
    for study in studies:
        kept = {label for label in sorted(study.truth) if draw.random() > errors}
        invented = {label for label in SENTENCES if draw.random() < errors / len(SENTENCES)}
        answers.append(report(kept | invented))
    return answers


def shuffled(answers: Sequence[str]) -> list[str]:
    """What the same model says of other patients' films."""
    return [answers[(number + 7) % len(answers)] for number in range(len(answers))]


def write(
    folder: Path, name: str, studies: Sequence[Study], own: Sequence[str], swapped: Sequence[str] | None, **more: Any
) -> Path:
    """Writes what is read of an evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    conditions = {"own": own, **({"swapped": swapped} if swapped is not None else {})}
    lines = [
        {
            "key": study.key,
            "patient": study.patient,
            "views": list(study.views),
            "condition": condition,
            "image_of": study.key,
            "prompt": study.prompt,
            "answer": answers[number],
            "reference": study.text,
            "stated": [],
            "truth": sorted(study.truth),
        }
        for number, study in enumerate(studies)
        for condition, answers in conditions.items()
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    metrics = {"schema": 2, "model": name, "split": "test", "studies": len(studies), **more}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@dataclass(frozen=True)
class Three:
    """Three evaluations of the same studies."""

    studies: list[Study]
    good: Path
    blind: Path
    commonest: Path


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Three:
    """One that sees, one that says as much but of nobody's film, one that always says the same."""
    root, studies = tmp_path_factory.mktemp("evaluations"), draw_studies(120)
    good = seeing(studies, 0.15)
    blind = shuffled(seeing(studies, 0.15, seed=2))
    same = [COMMONEST] * len(studies)
    return Three(
        studies,
        write(root / "good", "good", studies, good, shuffled(good)),
        write(root / "blind", "blind", studies, blind, blind),
        write(root / "commonest", "commonest", studies, same, same),
    )


__all__ = ["COMMONEST", "Study", "Three", "draw_studies", "replace", "report", "seeing", "shuffled", "write"]
