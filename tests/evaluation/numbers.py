"""What `cxr evaluate` would measure of given answers, for tests of what is made of it."""

from __future__ import annotations

from typing import Any

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.metrics import measure

TRUTH = "Small left pleural effusion. Right upper zone nodule. No pneumothorax."
GOOD = "Small left pleural effusion. Left apical pneumothorax."


def numbers(answers: list[str]) -> dict[str, Any]:
    """Returns metrics of studies that are all as `TRUTH` says, answered so, and with nothing about other images."""
    cases = [Case(str(n), str(n), "<image>", (b"",), ("frontal",), TRUTH, None) for n in range(len(answers))]
    texts = {"own": answers, "swapped": [""] * len(answers), "blank": [""] * len(answers)}
    return {"split": "test", **measure(cases, texts, draws=50), "verdict": "It looked."}
