"""What a sample says enters, what is wrong with it leaves: as summary, as conversation, as letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cxr_lightning.reports.conversations import IMAGE_MARK, Turn
from cxr_lightning.shards.inspection.checks import Severity

FEWEST, MOST = 2, 1000
"""Words of a summary: "Normal." teaches little, and no report has a thousand."""
_SPOILT = re.compile("[\ufffd\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]|Ã[\\x80-\\xbf]|â€")
"""Letters that only a wrong encoding writes."""

Told = tuple[str, str, Severity]
"""Check, what was found, and how bad it is."""


def check_summary(summary: str, sections: Sequence[str], answers: Sequence[str]) -> Iterator[Told]:
    """Look at a summary.

    Args:
        summary: The sample's summary.
        sections: Its findings and impression.
        answers: What its conversation answers.

    Yields:
        What is wrong.
    """
    words = len(summary.split())
    if not words and any(section.strip() for section in sections):
        yield "text", "its summary is empty, and its findings or impression are not", "error"
    elif not words and not any(answer.strip() for answer in answers):
        yield "text", "its summary is empty, and so is every answer", "error"
    elif 0 < words < FEWEST:
        yield "text", f"its summary has {words} word", "warning"
    elif words > MOST:
        yield "text", f"its summary has {words} words", "warning"


def check_letters(texts: Sequence[str]) -> Iterator[Told]:
    """Look at the letters of all texts.

    Args:
        texts: All texts of a sample.

    Yields:
        What is wrong.
    """
    if any(_SPOILT.search(text) for text in texts):
        yield "text", "a text holds control characters, or letters of another encoding", "warning"


def check_turns(turns: Sequence[Turn], images: int) -> Iterator[Told]:
    """Look at a conversation.

    Args:
        turns: The turns.
        images: How many images the sample has.

    Yields:
        What is wrong.
    """
    if not turns:
        yield "conversation", "it has no turn, so that stage 2 learns nothing from it", "warning"
        return
    wanted = ("user", "assistant")
    if any(turn["role"] != wanted[place % 2] for place, turn in enumerate(turns)) or len(turns) % 2:
        yield "conversation", "its turns do not alternate from the user to an answer", "error"
    if any(not turn["content"].replace(IMAGE_MARK, "").strip() for turn in turns):
        yield "text", "a turn is empty", "error"
    marks = sum(turn["content"].count(IMAGE_MARK) for turn in turns)
    if marks > images:
        yield "conversation", f"its turns mark {marks} images with {IMAGE_MARK}, and it has {images}", "error"
    if any(IMAGE_MARK in turn["content"] for turn in turns if turn["role"] == "assistant"):
        yield "conversation", f"an answer holds {IMAGE_MARK}", "error"
    if images and not marks:
        yield "conversation", f"no turn marks its image with {IMAGE_MARK}", "warning"
