"""A study's texts enter, instruction turns leave: what stage 2 learns to answer.

`describe` asks once, in many wordings, and answers with the summary. `mixed` asks for what the answer then says: the
findings, the impression or all of it, and where labels are known whether something is there, yes and no equally often,
so that an answer fits its question. Question-answer pairs that a source brings are used as they are, instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from cxr_lightning.reports.draw import choose, fraction
from cxr_lightning.reports.questions import ask_about, can_ask_about

Style = Literal["describe", "mixed"]

IMAGE_MARK = "<image>"
"""Stands in the first user turn where the study's image goes."""

DESCRIBE = (
    "Describe this chest X-ray.",
    "Please report this chest radiograph.",
    "Write the report for this image.",
    "What does this chest X-ray show?",
    "Tell me what you see on this radiograph.",
    "Read this chest film for me.",
    "Summarise the radiograph in a few sentences.",
    "Give a full description of this chest radiograph.",
    "How would a radiologist report this image?",
    "Look at this X-ray and describe what is there and what is not.",
    "I need a report of this chest image.",
    "Please interpret the chest X-ray shown here.",
    "Go through this radiograph and tell me what matters.",
    "What can be said about this chest X-ray?",
)
FINDINGS = (
    "What are the findings?",
    "List the findings on this chest X-ray.",
    "Write the findings section for this radiograph.",
    "Describe the lungs, the heart, the pleura and the devices in this image.",
    "What can be observed on this film?",
)
IMPRESSION = (
    "What is your impression?",
    "Sum up this radiograph in one or two sentences.",
    "Write the impression section for this chest X-ray.",
    "What is the conclusion from this image?",
    "In short, what does this film tell the referring doctor?",
)


class Turn(TypedDict):
    """One turn of a conversation.

    Attributes:
        role: "user" or "assistant", in alternation, the user first.
        content: The words; the first user turn begins with the image mark.
    """

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Said:
    """What is known about a study, in words ready to be answers.

    Attributes:
        summary: Findings and impression merged.
        findings: The cleaned findings; may be empty.
        impression: The cleaned impression; may be empty.
        labels: Located findings known to be true; None where nobody knows.
        turns: Question-answer pairs of the source.
    """

    summary: str
    findings: str = ""
    impression: str = ""
    labels: tuple[str, ...] | None = None
    turns: tuple[tuple[str, str], ...] = ()


def converse(said: Said, key: str, style: Style) -> list[Turn]:
    """Make the conversation of a study.

    Args:
        said: What its report and labels say.
        key: The study's key: the same key gets the same conversation.
        style: `describe` or `mixed`; a source's own turns come before either.

    Returns:
        Turns, user and assistant in alternation; empty where there is nothing to answer with.
    """
    if said.turns:
        return _turns(said.turns)
    if style == "describe":
        return _turns([(choose(DESCRIBE, key, "describe"), said.summary)]) if said.summary else []
    return _turns(_mixed(said, key))


def _mixed(said: Said, key: str) -> list[tuple[str, str]]:
    kinds = [
        (questions, answer)
        for questions, answer in ((DESCRIBE, said.summary), (FINDINGS, said.findings), (IMPRESSION, said.impression))
        if answer
    ]
    pairs: list[tuple[str, str]] = []
    if kinds:
        questions, answer = choose(kinds, key, "kind")
        pairs.append((choose(questions, key, "wording"), answer))
    if said.labels is not None and can_ask_about(said.labels):
        pairs.append(ask_about(said.labels, key))
        # Half of the conversations open with the short question: a model must not learn that it always comes second.
        if fraction(key, "order") < 0.5:
            pairs.reverse()
    return pairs


def _turns(pairs: Sequence[tuple[str, str]]) -> list[Turn]:
    turns: list[Turn] = []
    for question, answer in pairs:
        marked = question if turns or IMAGE_MARK in question else f"{IMAGE_MARK}\n{question}"
        turns += [Turn(role="user", content=marked), Turn(role="assistant", content=answer)]
    return turns
