"""What judging costs: estimated before a question leaves, counted while they do, and held to a budget."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_lightning.evaluation.judge.questions import Question
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.serve.dialogue import Reply

_LETTERS_A_TOKEN = 3.5
"""Cautious: English reports come to about four."""
_ANSWER_TOKENS = {"choice": 12, "grades": 30}


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in whatever money.

    Attributes:
        asked: Of questions.
        answered: Of answers.
    """

    asked: float = 0.0
    answered: float = 0.0

    def cost(self, asked_tokens: float, tokens: float) -> float:
        """Returns what tokens cost.

        Args:
            asked_tokens: Of questions.
            tokens: Of answers.
        """
        return (asked_tokens * self.asked + tokens * self.answered) / 1e6


@dataclass(frozen=True)
class Estimate:
    """What is to come.

    Attributes:
        calls: Questions.
        asked_tokens: Their tokens, about.
        cost: What they cost, about, if the judge answers without thinking aloud.
        most: What they cost if every answer is as long as it may be.
    """

    calls: int
    asked_tokens: int
    cost: float
    most: float


def estimate(questions: Sequence[Question], prices: Prices, *, max_tokens: int) -> Estimate:
    """Estimates what questions cost.

    Args:
        questions: Those not yet answered.
        prices: Of tokens.
        max_tokens: Longest answer.
    """
    asked = sum(tokens_of(each.prompt) for each in questions)
    short = sum(min(_ANSWER_TOKENS[each.form], max_tokens) for each in questions)
    return Estimate(
        len(questions), asked, prices.cost(asked, short), prices.cost(asked, len(questions) * max_tokens)
    )  # fmt: skip


def require_budget(expected: Estimate, budget: float | None) -> None:
    """Asks for a budget before anything is spent.

    Args:
        expected: What is to come.
        budget: The most that may be spent; None where the user did not say.

    Raises:
        JudgeError: It costs something and no budget was given, or a smaller one.
    """
    if expected.cost <= 0 or (budget is not None and expected.cost <= budget):
        return
    raise JudgeError(
        f"{expected.calls} questions of about {expected.asked_tokens} tokens would cost about {expected.cost:.2f}, "
        f"and {expected.most:.2f} if every answer were as long as --max_tokens allows"
        + ("." if budget is None else f"; the budget is {budget:.2f}.")
        + f" Remedy: confirm by --budget {math.ceil(expected.cost * 120) / 100:.2f}, or ask about fewer --studies."
    )


class Purse:
    """Counts what is spent, in several threads.

    Args:
        prices: Of tokens.
        budget: The most that may be spent; None knows no end.
    """

    def __init__(self, prices: Prices, budget: float | None) -> None:
        self._prices, self._budget, self._counting = prices, budget, threading.Lock()
        self.asked_tokens, self.tokens = 0, 0

    @property
    def spent(self) -> float:
        """What was spent so far."""
        return self._prices.cost(self.asked_tokens, self.tokens)

    def require_some(self) -> None:
        """Looks before a question leaves.

        Raises:
            JudgeError: All is spent.
        """
        if self._budget is not None and self.spent > 0 and self.spent >= self._budget:
            raise JudgeError(
                f"The budget of {self._budget:.2f} is spent. Verdicts are kept. "
                "Remedy: the same command goes on with a new --budget."
            )

    def pay(self, asked_tokens: int, tokens: int) -> None:
        """Counts one answer.

        Args:
            asked_tokens: Of the question.
            tokens: Of the answer.
        """
        with self._counting:
            self.asked_tokens += asked_tokens
            self.tokens += tokens


def tokens_of(text: str) -> int:
    """Estimates the tokens of a text by its letters.

    Args:
        text: The text.
    """
    return math.ceil(len(text) / _LETTERS_A_TOKEN)


def counted(reply: Reply, asked: str) -> tuple[int, int]:
    """Returns the tokens of question and answer: as the server says, else by letters.

    Args:
        reply: The answer.
        asked: The question.
    """
    before = tokens_of(asked) if reply.asked_tokens is None else reply.asked_tokens
    return before, tokens_of(reply.text) if reply.tokens is None else reply.tokens
