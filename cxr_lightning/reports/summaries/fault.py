"""What is wrong with a summary: a kind that is counted, and words that the model is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing.

    Attributes:
        kind: One of a few short names, such as "side": for tables, and without a word of the report.
        told: What the model is told; it may hold the report's words, so it reaches no log.
    """

    kind: str
    told: str
