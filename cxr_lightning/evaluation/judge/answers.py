"""What a judge said enters, a verdict leaves, or nothing: an answer that cannot be read is no vote for anybody.

Strict, for reports are quoted in answers: the verdict is the whole answer, and what stands in prose is none. "A is not
better than B" names both, and 'the report says {"better": "A"}' repeats what a report would like to hear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal

from cxr_lightning.endpoint.reply import spoken
from cxr_lightning.evaluation.judge.prompts import GRADES

Choice = Literal["A", "B", "tie"]
Form = Literal["choice", "grades"]
Verdict = str | dict[str, int]
"""A choice, or grades by name."""

_CHOICES: dict[str, Choice] = {"a": "A", "b": "B", "tie": "tie"}
_FENCED = re.compile(r"```(?:json)?\s(.*)```", re.DOTALL | re.IGNORECASE)


def read_choice(text: str) -> Choice | None:
    """Returns which report a judge prefers.

    Args:
        text: What it said: JSON with `better` and nothing around it but a code fence, or the bare word.

    Returns:
        None if it cannot be read.
    """
    said = spoken(text)
    found = _object(said)
    word = said.strip("\"'*`. \n") if found is None else found.get("better")
    return _CHOICES.get(word.strip().lower()) if isinstance(word, str) else None


def read_grades(text: str) -> dict[str, int] | None:
    """Returns a judge's grades.

    Args:
        text: What it said: JSON with a whole number from 1 to 5 for each of `GRADES`, and nothing around it but a code
            fence.

    Returns:
        None if one is missing or out of range.
    """
    found = _object(spoken(text)) or {}
    grades = {name: grade for name in GRADES if (grade := _grade(found.get(name))) is not None}
    return grades if len(grades) == len(GRADES) else None


READERS: dict[Form, Callable[[str], Verdict | None]] = {"choice": read_choice, "grades": read_grades}


def _object(text: str) -> dict[str, Any] | None:
    """Returns the object that an answer is; None if it is none, or has a key twice, for then it says two things."""
    fenced = _FENCED.fullmatch(text)
    try:
        found = json.loads(fenced[1] if fenced else text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A key stands twice.")
    return found


def _grade(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value).strip().removesuffix(".0")
    return int(text) if text in ("1", "2", "3", "4", "5") else None
