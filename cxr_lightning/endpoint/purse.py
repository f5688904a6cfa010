"""What asking a server costs: counted while questions leave, and held to a budget.

A question leaves only if the budget bears the most that it may cost, beside all that are in the air; what it did not
cost is free again once it is answered.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cxr_lightning.endpoint.reply import Reply

_LETTERS_A_TOKEN = 3.5
"""Cautious: English reports come to about four."""
FRAME_TOKENS = 256
"""What a server's template may add around a question."""


class BudgetError(ValueError):
    """A server is not asked, or not further: the budget is missing, too small, or spent."""


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
        cost: What they cost, about, if nobody thinks aloud.
        most: What they cost if every answer is as long as it may be.
        dearest: The most that a single one of them may cost.
    """

    calls: int
    asked_tokens: int
    cost: float
    most: float
    dearest: float


def require_budget(expected: Estimate, budget: float | None, *, spent: float = 0.0, less: str) -> None:
    """Asks for a budget before anything is spent.

    Args:
        expected: What is to come.
        budget: The most that may be spent; None where the user did not say.
        spent: What of it was spent before.
        less: What asks for less, in words: the remedy.

    Raises:
        BudgetError: It costs something and no budget was given, or one that it may not be done for.
    """
    needed = spent + expected.cost + expected.dearest  # the last one, too, leaves only if its most is there
    if expected.cost <= 0 or (budget is not None and needed <= budget):
        return
    safe = math.ceil(100 * (spent + 1.2 * expected.cost + expected.dearest)) / 100
    raise BudgetError(
        f"{expected.calls} questions of about {expected.asked_tokens} tokens would cost about {expected.cost:.2f}, "
        f"and {expected.most:.2f} if every answer were as long as --max_tokens allows"
        + (f"; {spent:.2f} are spent already" if spent else "")
        + ("." if budget is None else f"; the budget is {budget:.2f}.")
        + f" Remedy: confirm by --budget {safe:.2f}, or {less}."
    )


def require_price(prices: Prices, budget: float | None) -> None:
    """Asks for a price where there is a budget: without one nothing would ever be spent of it.

    Args:
        prices: Of tokens.
        budget: The most that may be spent; None where the user did not say.

    Raises:
        BudgetError: There is a budget and no price.
    """
    if budget is not None and prices.asked <= 0 and prices.answered <= 0:
        raise BudgetError(
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
    def holding(self, asked_tokens: int, tokens: int) -> Iterator[Callable[[], None]]:
        """Holds the most that a question may cost until it is answered; waits for others where that is in the air.

        Args:
            asked_tokens: The most tokens that are asked.
            tokens: The most that are answered.

        Yields:
            What counts an attempt that nobody can read, and holds the same once more for the next.

        Raises:
            BudgetError: Nothing is in the air, and what is left does not bear it.
        """
        most, held = self._prices.cost(asked_tokens, tokens), False

        def hold() -> None:
            nonlocal held
            self._take(most)
            held = True

        def release() -> None:
            nonlocal held
            if held:
                self._give(most)
            held = False

        def again() -> None:
            self.pay(asked_tokens, tokens)
            release()
            hold()

        hold()
        try:
            yield again
        finally:
            release()

    def _take(self, most: float) -> None:
        with self._counting:
            self._counting.wait_for(lambda: self._over or not self._in_the_air or self._bears(most))
            self._over = self._over or not self._bears(most)  # for all: an answer after the end would be lost
            if self._over:
                self._counting.notify_all()
                raise BudgetError(
                    f"The budget of {self._budget:.2f} is spent, but for what one more question may cost "
                    f"({self.spent:.2f} spent, {most:.2f} the most it may cost). What was answered is kept. "
                    "Remedy: the same command goes on with a new --budget."
                )
            self._held += most
            self._in_the_air += 1

    def _give(self, most: float) -> None:
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
    """Returns the tokens of question and answer: as the server says, or by letters where that is more.

    A budget that believed a server's zero would never end. Our count is a little above a tokenizer's, so what is spent
    is told as a few percent too much rather than as nothing.

    Args:
        reply: The answer.
        asked: The question.
    """
    return max(tokens_of(asked), reply.asked_tokens or 0), max(tokens_of(reply.text), reply.tokens or 0)
