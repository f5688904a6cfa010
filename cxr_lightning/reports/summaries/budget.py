"""What the summaries of a file will cost, before a question leaves: tokens, money where it has a price, and time."""

from __future__ import annotations

from dataclasses import dataclass

from cxr_lightning.endpoint.purse import FRAME_TOKENS, Estimate, Prices, tokens_of
from cxr_lightning.reports.summaries.journal import Spent
from cxr_lightning.reports.summaries.material import Question

LESS = "summarise fewer by --limit"
"""How a user spends less."""
_AGAIN = 0.1
"""Share of answers that are asked for once more, until this journal knows better: about a tenth."""
_TOKENS_A_SECOND = 40.0
"""Of one answer, where nothing is known: what a server of a middling model gives each of many who ask at once."""
_AGAIN_TOKENS = 160
"""Of the words that tell what was wrong."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast a server may be asked.

    Attributes:
        concurrency: Requests at once.
        requests: Most of them a minute; None knows no limit.
        tokens: Most tokens a minute; None knows no limit.
    """

    concurrency: int
    requests: float | None = None
    tokens: float | None = None


def most_tokens(messages: list[dict[str, str]], max_tokens: int) -> tuple[int, int]:
    """Returns the most tokens that one request may cost, asked and answered.

    Args:
        messages: Who says what. No tokenizer makes more tokens of a text than it has bytes.
        max_tokens: Longest answer.
    """
    return sum(len(each["content"].encode(errors="replace")) for each in messages) + FRAME_TOKENS, max_tokens


def likely_tokens(question: Question) -> tuple[int, int]:
    """Returns the tokens that a question will cost, about, asked and answered.

    Args:
        question: The question. A summary is about as long as the report.
    """
    return tokens_of(question.prompt), tokens_of(question.report)


@dataclass(slots=True)
class Forecast:
    """What is to come, added up question by question.

    Attributes:
        calls: Questions.
        asked_tokens: Theirs.
        tokens: Of their answers.
        longest: Bytes of the longest question.
        again: Share of answers that are asked for once more.
    """

    calls: int = 0
    asked_tokens: int = 0
    tokens: int = 0
    longest: int = 0
    again: float = _AGAIN

    def add(self, question: Question) -> None:
        """Adds one.

        Args:
            question: The question.
        """
        asked, tokens = likely_tokens(question)
        self.calls += 1
        self.asked_tokens += asked
        self.tokens += tokens
        self.longest = max(self.longest, len(question.prompt.encode(errors="replace")))

    def estimate(self, prices: Prices, max_tokens: int) -> Estimate:
        """Returns what it costs, with those that are asked for twice.

        Args:
            prices: Of tokens.
            max_tokens: Longest answer.
        """
        asked, tokens = self.all_tokens
        again = self.asked_tokens + self.calls * (max_tokens + _AGAIN_TOKENS)
        return Estimate(
            self.calls,
            asked,
            prices.cost(asked, tokens),
            prices.cost(self.asked_tokens + again, 2 * self.calls * max_tokens),
            prices.cost(self.longest + 2 * max_tokens + FRAME_TOKENS, max_tokens) if self.calls else 0.0,
        )

    @property
    def all_tokens(self) -> tuple[int, int]:
        """Tokens asked and answered, with those that are asked for twice."""
        again = self.again * (self.asked_tokens + self.tokens + _AGAIN_TOKENS * self.calls)
        return round(self.asked_tokens + again), round((1 + self.again) * self.tokens)

    def minutes(self, spent: Spent, rates: Rates) -> float:
        """Returns how long it will take.

        Args:
            spent: What this model took so far, which tells its speed.
            rates: How fast it may be asked.
        """
        asked, answered = self.all_tokens
        calls = (1 + self.again) * self.calls
        each = spent.seconds / spent.answers if spent.answers else answered / max(calls, 1) / _TOKENS_A_SECOND
        limits = [calls * each / rates.concurrency / 60]
        limits += [calls / rates.requests] if rates.requests else []
        limits += [(asked + answered) / rates.tokens] if rates.tokens else []
        return max(limits)

    def told(self, prices: Prices, max_tokens: int, minutes: float, *, guessed: bool) -> str:
        """Says it in a line.

        Args:
            prices: Of tokens.
            max_tokens: Longest answer.
            minutes: How long it will take.
            guessed: Whether the speed is a guess.
        """
        asked, tokens = self.all_tokens
        cost = self.estimate(prices, max_tokens).cost
        return (
            f"{self.calls:,} questions, about {asked:,} tokens asked and {tokens:,} answered"
            + (f", about {cost:,.2f}" if cost else ", of no known price")
            + f", about {_time(minutes)}"
            + (f" (a guess, at {_TOKENS_A_SECOND:.0f} tokens a second and answer)" if guessed else "")
        )


def _time(minutes: float) -> str:
    if minutes < 1.5:
        return "a minute" if minutes > 0.5 else f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
