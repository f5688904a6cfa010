"""What a judge said enters, a verdict leaves, or nothing: an answer that cannot be read is no vote for anybody.

Strict where it matters: no name is searched for in prose, for "A is not better than B" names both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from cxr_lightning.evaluation.judge.prompts import GRADES

Choice = Literal["A", "B", "tie"]
Form = Literal["choice", "grades"]
Verdict = str | dict[str, int]
"""A choice, or grades by name."""

_CHOICES: dict[str, Choice] = {"a": "A", "b": "B", "tie": "tie"}
_OBJECT = re.compile(r"\{[^{}]*\}")


def read_choice(text: str) -> Choice | None:
    """Returns which report a judge prefers.

    Args:
        text: What it said: JSON with `better`, whatever stands around it, or the bare word.

    Returns:
        None if it cannot be read, or says two things.
    """
    said = [each["better"] for each in _objects(text) if "better" in each] or [_spoken(text).strip("\"'*`. \n")]
    found = {_CHOICES.get(str(each).strip().lower()) for each in said}
    return found.pop() if len(found) == 1 else None


def read_grades(text: str) -> dict[str, int] | None:
    """Returns a judge's grades.

    Args:
        text: What it said: JSON with a whole number from 1 to 5 for each of `GRADES`, whatever stands around it.

    Returns:
        None if one is missing or out of range, or if it grades twice and differently.
    """
    said = [each for each in _objects(text) if all(name in each for name in GRADES)]
    found = [{name: _grade(each[name]) for name in GRADES} for each in said]
    if not found or any(each != found[0] for each in found):
        return None
    grades = {name: grade for name, grade in found[0].items() if grade is not None}
    return grades if len(grades) == len(GRADES) else None


READERS: dict[Form, Callable[[str], Verdict | None]] = {"choice": read_choice, "grades": read_grades}


def _spoken(text: str) -> str:
    """Leaves out what a reasoning model thinks aloud before it answers."""
    return text.rpartition("</think>")[2].strip()


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for match in _OBJECT.finditer(_spoken(text)):
        try:
            found = json.loads(match[0])
        except ValueError:
            continue
        yield found


def _grade(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value).strip().removesuffix(".0")
    return int(text) if text in ("1", "2", "3", "4", "5") else None
