"""Questions with their answers enter, turns leave, the first of them with the images and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

IMAGE_MARK = "<image>"
"""Stands in the first user turn where one of the study's images goes."""

Kind = Literal[
    "describe", "findings", "impression", "presence", "place", "extent", "normality", "region", "devices", "explain",
    "view",
]  # fmt: skip
"""What a question asks for: presence, place and extent are those of a finding, a view is how the film was taken."""


class Turn(TypedDict):
    """One turn of a conversation.

    Attributes:
        role: "user" or "assistant", in alternation, the user first.
        content: The words; the first user turn begins with what is shown, an image mark at least.
    """

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with its answer, and what is needed to count and to check them.

    Attributes:
        kind: What is asked for.
        question: The question.
        answer: The answer.
        about: The finding or the region asked about; empty where it is all of the film.
        holds: Whether the thing asked about is there; None where that is not the question.
    """

    kind: Kind
    question: str
    answer: str
    about: str = ""
    holds: bool | None = None


def as_turns(pairs: Iterable[tuple[str, str]], shown: str = "") -> list[Turn]:
    """Write questions and answers as turns.

    Args:
        pairs: Questions with their answers.
        shown: What stands before the first question, unless that one marks its images itself.
    """
    turns: list[Turn] = []
    for question, answer in pairs:
        marked = question if turns or IMAGE_MARK in question else shown + question
        turns += [Turn(role="user", content=marked), Turn(role="assistant", content=answer)]
    return turns
