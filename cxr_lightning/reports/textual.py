"""A study's texts enter, turns without an image leave: what a language model learns to say from reports alone.

Asked to sum up findings that the question quotes, an answer follows from its question. Where a report has one part
only, the question asks for an example of a report: never for what a film shows that nobody sees, since a model would
learn to invent it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxr_lightning.reports.conversations import Said, Turn
from cxr_lightning.reports.draw import choose

SUM_UP = (
    "Write the impression for these findings of a chest radiograph.\n\n{findings}",
    "Summarise these chest X-ray findings as a radiologist would in an impression.\n\n{findings}",
    "{findings}\n\nWhat is the impression?",
    "These are the findings of a chest radiograph:\n{findings}\n\nSum them up for the referring doctor.",
    "Findings: {findings}\n\nGive the impression section of this report.",
    "A chest X-ray was reported as follows. {findings}\n\nWhat is the conclusion?",
    "Read these findings and state what matters in one or two sentences.\n\n{findings}",
    "Turn the findings below into a short impression.\n\n{findings}",
    "You are helping a radiologist finish a chest X-ray report. The findings are: {findings} Write the impression.",
    "{findings}\n\nIn short, what does this chest radiograph show?",
)
EXAMPLES = (
    "Give an example of a chest radiograph report.",
    "Write a chest X-ray report as a radiologist might dictate it.",
    "What can a short report of a chest radiograph look like?",
    "Show me how the text of a chest X-ray report may read.",
    "Write a sample report for a chest film, for teaching.",
    "Make up a plausible report of a chest radiograph.",
)


def converse_in_text(said: Said, key: str) -> list[Turn]:
    """Make the conversation of a study whose image nobody looks at.

    Args:
        said: What its report says, or the questions and answers that it brought.
        key: The study's key: the same key gets the same conversation.

    Returns:
        Turns, user and assistant in alternation, none with an image; empty where there is nothing to answer with.
    """
    if said.turns:
        return _turns(said.turns)
    if said.findings and said.impression and said.findings != said.impression:
        return _turns([(choose(SUM_UP, key, "sum up").format(findings=said.findings), said.impression)])
    return _turns([(choose(EXAMPLES, key, "example"), said.summary)]) if said.summary else []


def _turns(pairs: Sequence[tuple[str, str]]) -> list[Turn]:
    turns: list[Turn] = []
    for question, answer in pairs:
        turns += [Turn(role="user", content=question), Turn(role="assistant", content=answer)]
    return turns
