"""What a model is asked about each study: with its own image, with another patient's, and with a blank one.

Enters the studies; leaves tasks in an order, and in batches, that depend on nothing but the studies, so that neither
processes, ranks nor a kill change an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cxr_lightning.endpoint.reply import Finish
from cxr_lightning.evaluation.cases import Case
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.scoring.swaps import lent, swap_partners
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.shards.images import load_gray

Condition = Literal["own", "swapped", "blank"]
"""Which image stands beside the question: the study's, another patient's, or none but grey."""

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
TaskId = tuple[str, Condition]


@dataclass(frozen=True, slots=True)
class Task:
    """One answer to be generated.

    Attributes:
        key: The study's key.
        condition: Which image it is shown.
        prompt: The user's turn, `<image>` where each image goes.
        reference: What a radiologist answered.
        images: Encoded images in the order of the marks; for the blank condition only their size counts.
        shown: Key of the study whose images these are.
    """

    key: str
    condition: Condition
    prompt: str
    reference: str
    images: tuple[bytes, ...]
    shown: str

    @property
    def id(self) -> TaskId:
        """What tells it from others."""
        return self.key, self.condition

    def dialogue(self, blank: int) -> Dialogue:
        """Returns what is asked.

        Args:
            blank: Gray level of a film that says nothing.
        """
        films = [load_gray(data) for data in self.images]
        if self.condition == "blank":
            films = [np.full_like(film, blank) for film in films]
        return Dialogue(tuple(films), (("user", self.prompt),))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said.

    Attributes:
        key: The study's key.
        condition: Which image it was shown.
        text: The answer, without special tokens.
        shown: Key of the study whose images were shown.
        finish: Why it ended; "refused" where a server did not answer, None where it does not say.
        tokens: How many tokens it took; None where a server does not say.
        likelihood: How likely the model finds the reference beside this image; None where a server was asked.
    """

    key: str
    condition: Condition
    text: str
    shown: str
    finish: Finish | Literal["refused"] | None = None
    tokens: int | None = None
    likelihood: Likelihood | None = None

    @property
    def id(self) -> TaskId:
        """The task that it answers."""
        return self.key, self.condition


def plan_tasks(cases: Sequence[Case], *, conditions: Sequence[Condition] = CONDITIONS, seed: int = 0) -> list[Task]:
    """Lists the answers to generate, condition by condition.

    Args:
        cases: The studies.
        conditions: Which images to show.
        seed: Seed of the swaps.

    Returns:
        One task per study and condition.

    Raises:
        NoOtherPatientError: If images are to be swapped and all studies are one patient's.
    """
    lenders = list(cases)
    tasks = []
    for condition in conditions:
        shown = lenders
        if condition == "swapped":
            partners = swap_partners([case.patient for case in cases], [case.views for case in cases], seed=seed)
            shown = [lenders[partner] for partner in partners]
        for case, lender in zip(cases, shown, strict=True):
            images = lent(lender.images, len(case.images))
            tasks.append(Task(case.key, condition, case.prompt, case.reference, images, lender.key))
    return tasks
