"""What judging costs: estimated before a question leaves, counted while they do, and held to a budget.

A question leaves only if the budget bears the most that it may cost, beside all that are in the air; what it did not
cost is free again once it is answered.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.questions import Question
from cxr_lightning.evaluation.judge.trouble import JudgeError
from cxr_lightning.serve.dialogue import Reply

_LETTERS_A_TOKEN = 3.5
"""Cautious: English reports come to about four."""
_ANSWER_TOKENS = {"choice": 12, "grades": 30}
_FRAME_TOKENS = 256
"""What a server's template may add around a question."""


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
        dearest: The most that a single one of them may cost.
    """

    calls: int
    asked_tokens: int
    cost: float
    most: float
    dearest: float


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
        len(questions),
        asked,
        prices.cost(asked, short),
        prices.cost(asked, len(questions) * max_tokens),
        max((prices.cost(*most_tokens(each.prompt, max_tokens)) for each in questions), default=0.0),
    )


def most_tokens(prompt: str, max_tokens: int) -> tuple[int, int]:
    """Returns the most tokens that a question may cost, asked and answered: where it is put twice, its answer read.

    Args:
        prompt: The question. No tokenizer makes more tokens of a text than it has bytes.
        max_tokens: Longest answer.
    """
    once, again = (len(text.encode(errors="replace")) for text in (prompt, prompts.AGAIN))
    return 2 * (once + _FRAME_TOKENS) + max_tokens + again, 2 * max_tokens


def require_budget(expected: Estimate, budget: float | None) -> None:
    """Asks for a budget before anything is spent.

    Args:
        expected: What is to come.
        budget: The most that may be spent; None where the user did not say.

    Raises:
        JudgeError: It costs something and no budget was given, or one that it may not be done for.
    """
    needed = expected.cost + expected.dearest  # the last question, too, leaves only if the most it may cost is there
    if expected.cost <= 0 or (budget is not None and needed <= budget):
        return
    safe = math.ceil(expected.cost * 120 + expected.dearest * 100) / 100
    raise JudgeError(
        f"{expected.calls} questions of about {expected.asked_tokens} tokens would cost about {expected.cost:.2f}, "
        f"and {expected.most:.2f} if every answer were as long as --max_tokens allows"
        + ("." if budget is None else f"; the budget is {budget:.2f}.")
        + f" Remedy: confirm by --budget {safe:.2f}, or ask about fewer --studies."
    )


def require_price(prices: Prices, budget: float | None) -> None:
    """Asks for a price where there is a budget: without one nothing would ever be spent of it.

    Args:
        prices: Of tokens.
        budget: The most that may be spent; None where the user did not say.

    Raises:
        JudgeError: There is a budget and no price.
    """
    if budget is not None and prices.asked <= 0 and prices.answered <= 0:
        raise JudgeError(
            f"--budget {budget:g} holds nothing back where tokens have no price. Remedy: --price_in and --price_out, "
            "what a million tokens cost; or leave --budget out."
        )


class Purse:
    """Counts what is spent, in several threads.

    Args:
        prices: Of tokens.
        budget: The most that may be spent; None knows no end.
    """

    def __init__(self, prices: Prices, budget: float | None) -> None:
        self._prices, self._budget, self._counting = prices, budget, threading.Condition()
        self._held, self._in_the_air, self._over = 0.0, 0, False
        self.asked_tokens, self.tokens = 0, 0

    @property
    def spent(self) -> float:
        """What was spent so far."""
        return self._prices.cost(self.asked_tokens, self.tokens)

    @contextmanager
    def holding(self, asked_tokens: int, tokens: int) -> Iterator[None]:
        """Holds the most that a question may cost until it is answered; waits for others where that is in the air.

        Args:
            asked_tokens: The most tokens that are asked.
            tokens: The most that are answered.

        Raises:
            JudgeError: Nothing is in the air, and what is left does not bear it.
        """
        most = self._prices.cost(asked_tokens, tokens)
        with self._counting:
            self._counting.wait_for(lambda: self._over or not self._in_the_air or self._bears(most))
            self._over = self._over or not self._bears(most)  # for all: an answer after the end would be lost
            if self._over:
                self._counting.notify_all()
                raise JudgeError(
                    f"The budget of {self._budget:.2f} is spent, but for what one more question may cost "
                    f"({self.spent:.2f} spent, {most:.2f} the most it may cost). Verdicts are kept. "
                    "Remedy: the same command goes on with a new --budget."
                )
            self._held += most
            self._in_the_air += 1
        try:
            yield
        finally:
            with self._counting:
                self._held -= most
                self._in_the_air -= 1
                self._counting.notify_all()

    def _bears(self, most: float) -> bool:
        return self._budget is None or self.spent + (self._held if self._in_the_air else 0.0) + most <= self._budget

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
