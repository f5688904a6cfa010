"""How likely an answer is: two numbers, which who reads them from a file needs no model for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely an answer is.

    Attributes:
        nats: Negative log-likelihood of all of its tokens, the end included.
        tokens: How many.
    """

    nats: float
    tokens: int
