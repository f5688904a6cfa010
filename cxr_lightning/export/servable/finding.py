"""One thing that was looked at in a folder, and what to do where it is not as a server wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["any", "vllm", "own", "advice"]


@dataclass(frozen=True)
class Finding:
    """One line of the judgement.

    Attributes:
        what: What has to hold.
        found: What was found.
        holds: Whether it does.
        remedy: What to do where it does not; empty where it does.
        weight: Whom it stops where it does not hold: `any` server, `vllm`, vLLM's `own` model of this architecture (its
            engine with transformers' code goes on), or nobody (`advice`).
    """

    what: str
    found: str
    holds: bool
    remedy: str = ""
    weight: Weight = "any"


def finding(what: str, problem: str | None, fine: str, remedy: str, weight: Weight = "any") -> Finding:
    """Returns a finding that holds unless there is a problem.

    Args:
        what: What has to hold.
        problem: What is wrong, if something is.
        fine: What to say if nothing is.
        remedy: What to do about the problem.
        weight: Whom it stops.
    """
    return Finding(what, problem or fine, problem is None, remedy if problem else "", weight)
