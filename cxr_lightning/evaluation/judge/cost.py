"""What judging costs, estimated before a question leaves."""

from __future__ import annotations

from collections.abc import Sequence

from cxr_lightning.endpoint.purse import FRAME_TOKENS, Estimate, Prices, tokens_of
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.questions import Question

_ANSWER_TOKENS = {"choice": 12, "grades": 30}
LESS = "ask about fewer --studies"
"""How a user spends less."""


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
    return 2 * (once + FRAME_TOKENS) + max_tokens + again, 2 * max_tokens
