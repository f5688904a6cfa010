"""What two or more models said of the same studies, side by side.

Enters folders that `cxr evaluate` wrote; leaves their answers in one order of studies. Scores compare only where
question, reference and truth are the same, so sets that differ are refused, and it is said by how much.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from cxr_lightning.evaluation.predictions import NAME, Row, read_predictions
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Texts

_HEADLINE = "findings_micro_f1"
# What makes two rows of one key the same study; the answer is what may differ.
_SAME = ("patient", "prompt", "reference", "truth")


class NotEvaluatedError(ValueError):
    """A folder holds no evaluation that can be compared."""


class OtherStudiesError(ValueError):
    """The models were not asked the same about the same studies."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model's evaluation.

    Attributes:
        letter: What it is called beside the others: A, B, C.
        name: The model's name; the folder's where two models have the same.
        folder: Where the evaluation lies.
        metrics: Its metrics.json.
        answers: What was said, by condition and key.
        studies: The row of the model's own image, by key.
    """

    letter: str
    name: str
    folder: Path
    metrics: Mapping[str, Any]
    answers: Mapping[str, Mapping[str, str]]
    studies: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same studies, answered by all models.

    Attributes:
        models: The models; all are compared with the first.
        keys: The studies that all have, in the order of the first.
        left_out: How many studies at least one model has, and not all alike.
    """

    models: tuple[Evaluated, ...]
    keys: tuple[str, ...]
    left_out: int

    @property
    def first(self) -> Evaluated:
        """The model with which the others are compared."""
        return self.models[0]

    @property
    def rivals(self) -> tuple[Evaluated, ...]:
        """The others."""
        return self.models[1:]

    @property
    def headline(self) -> str:
        """The score by which models are ranked: that of the first one's verdict. More of it is better."""
        said = self.first.metrics.get("headline")
        return next((scorer.name for scorer in SCORERS if scorer.name == said), _HEADLINE)

    @property
    def studies(self) -> list[Row]:
        """The rows of the first model; all but their answers are everybody's."""
        return [self.first.studies[key] for key in self.keys]

    @property
    def patients(self) -> list[str]:
        """Patient of each study."""
        return [row["patient"] for row in self.studies]

    @property
    def views(self) -> list[str]:
        """Views of each study, such as "frontal + lateral"."""
        return [" + ".join(row["views"]) or "unknown" for row in self.studies]

    @property
    def truths(self) -> list[frozenset[str]]:
        """Located findings that are there."""
        return [frozenset(row["truth"]) for row in self.studies]

    def answered(self, condition: str) -> bool:
        """Returns whether every model answered every study under a condition.

        Args:
            condition: own, swapped or blank.
        """
        return all(set(self.keys) <= set(model.answers.get(condition, {})) for model in self.models)

    def texts(self, model: Evaluated, condition: str = "own") -> Texts:
        """Lays a model's answers beside what they should have said.

        Args:
            model: The model.
            condition: Whose image it was shown.
        """
        answers = [model.answers[condition][key] for key in self.keys]
        return Texts([row["reference"] for row in self.studies], answers, self.truths)


def read_pairs(folders: Sequence[Path], *, shared: bool = False) -> Pairs:
    """Reads evaluations and lays them side by side.

    Args:
        folders: Folders of `cxr evaluate`; the first is what the others are compared with.
        shared: Compare the studies in common, where the sets differ.

    Raises:
        NotEvaluatedError: A folder holds no evaluation, or fewer than two are given.
        PredictionsError: An evaluation is not finished, or damaged.
        OtherStudiesError: The sets differ and `shared` is not set, or nothing is shared.
    """
    if not 2 <= len(folders) <= len(ascii_uppercase):
        raise NotEvaluatedError(
            f"{len(folders)} folder(s) to compare. Remedy: name 2 to {len(ascii_uppercase)} that cxr evaluate wrote."
        )
    models = _read_all(folders)
    first = models[0]
    keys = tuple(
        key for key, row in first.studies.items() if all(_alike(row, model.studies.get(key)) for model in models[1:])
    )
    left_out = len(set().union(*(model.studies for model in models))) - len(keys)
    if left_out and not (shared and keys):
        raise OtherStudiesError(_told(models, len(keys)))
    return Pairs(tuple(models), keys, left_out)


def _read_all(folders: Sequence[Path]) -> list[Evaluated]:
    metrics = [_read_metrics(folder) for folder in folders]
    names = [str(each.get("model") or folder.name) for each, folder in zip(metrics, folders, strict=True)]
    count = Counter(names)
    models = []
    for number, folder in enumerate(folders):
        name = names[number] if count[names[number]] == 1 else folder.resolve().name
        rows = read_predictions(folder)
        answers: dict[str, dict[str, str]] = {}
        for row in rows:
            answers.setdefault(row["condition"], {})[row["key"]] = row["answer"]
        studies = {row["key"]: row for row in rows if row["condition"] == "own"}
        if not studies:
            raise NotEvaluatedError(f"{folder / NAME}: no study was answered. Remedy: cxr evaluate it again.")
        models.append(Evaluated(ascii_uppercase[number], name, folder, metrics[number], answers, studies))
    return models


def _read_metrics(folder: Path) -> dict[str, Any]:
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotEvaluatedError(
            f"{folder} holds no metrics.json. Remedy: name a folder to which cxr evaluate wrote (its --out)."
        ) from None
    except ValueError as error:
        raise NotEvaluatedError(f"{folder / 'metrics.json'}: not JSON ({error}). Remedy: cxr evaluate again.") from None
    if not isinstance(metrics, dict):
        raise NotEvaluatedError(f"{folder / 'metrics.json'}: no table of scores. Remedy: cxr evaluate again.")
    return metrics


def _alike(one: Row, other: Row | None) -> bool:
    return other is not None and all(one[name] == other[name] for name in _SAME)


def _told(models: Sequence[Evaluated], common: int) -> str:
    """Says how far the sets overlap, and what differs where both have a study: counts, no study's text."""
    sizes = ", ".join(f"{model.letter} ({model.folder}) has {len(model.studies)}" for model in models)
    unlike = Counter[str]()
    for model in models[1:]:
        for key, row in model.studies.items():
            mine = models[0].studies.get(key)
            unlike.update(name for name in _SAME if mine is not None and mine[name] != row[name])
    differ = "; ".join(f"another {name} in {count}" for name, count in unlike.items())
    remedy = (
        "evaluate all on the same shards and --split, or compare what is shared: --shared true"
        if common
        else "evaluate all on the same shards and --split"
    )
    return (
        f"The evaluations are not of the same studies: {common} are shared by all, {sizes}"
        f"{f' (under the same key: {differ})' if differ else ''}. Remedy: {remedy}."
    )
