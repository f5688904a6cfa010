"""What a score is: statistics that add up over studies, and how their sums become a number.

Because they add up, a score of any number of studies, its bootstrap interval and the difference of two models need the
texts read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from cxr_lightning.scoring.bootstrap import ScoreOf

Group = Literal["findings", "observations", "overlap", "learned"]
"""What a score looks at: located findings, the 14 observations, words, or what a trained scorer makes of both."""


@dataclass(frozen=True)
class Texts:
    """Answers beside what they should have said, N studies in one order.

    Attributes:
        references: What a radiologist said.
        answers: What the model said.
        truths: The located findings that are there, labels of `findings.located.LABELS`.
    """

    references: Sequence[str]
    answers: Sequence[str]
    truths: Sequence[frozenset[str]]

    def __post_init__(self) -> None:
        """Refuses sides of different lengths.

        Raises:
            ValueError: The three differ in length.
        """
        lengths = {"references": len(self.references), "answers": len(self.answers), "truths": len(self.truths)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"every study needs its reference, its answer and its truth; found {lengths}")


@dataclass(frozen=True)
class Scorer:
    """One score.

    Attributes:
        name: In metrics.json and in TensorBoard.
        title: In tables.
        meaning: What it says, in a line.
        group: What it looks at.
        statistics: From texts to additive statistics (N, ...), one row a study.
        score_of: From sums (D, ...) of such rows to scores (D).
        better: Whether more of it is better.
    """

    name: str
    title: str
    meaning: str
    group: Group
    statistics: Callable[[Texts], NDArray[Any]]
    score_of: ScoreOf
    better: Literal["higher", "lower"] = "higher"
