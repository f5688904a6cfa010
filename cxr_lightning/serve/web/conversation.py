"""Questions and answers about one study, as the page shows them and as a model is told them.

An answer that was stopped counts as what was said so far; a question that got none, or an error, is shown but not told
to the model again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cxr_lightning.serve.dialogue import Dialogue, Speaker
from cxr_lightning.serve.web.film import Place
from cxr_lightning.shards.images import Gray

Ended = Literal["", "stopped", "failed"]


@dataclass
class Exchange:
    """A question and its answer.

    Attributes:
        question: What was asked.
        answer: What was answered so far.
        ended: How the answer ended, if not by itself.
        error: Why there is none, for people.
        films: Which films the model was shown.
    """

    question: str
    films: tuple[Place, ...]
    answer: str = ""
    ended: Ended = ""
    error: str = ""


@dataclass
class Conversation:
    """All exchanges about a study.

    Attributes:
        exchanges: In the order they were made.
    """

    exchanges: list[Exchange] = field(default_factory=list)

    def dialogue(self, films: tuple[Gray, ...]) -> Dialogue:
        """Returns what the model is told: the films, what was answered, and the last question.

        Args:
            films: What it is shown.
        """
        turns: list[tuple[Speaker, str]] = []
        for each in self.exchanges[:-1]:
            if each.answer.strip():
                turns += [("user", each.question), ("assistant", each.answer)]
        return Dialogue(films, (*turns, ("user", self.exchanges[-1].question)))

    def shown(self) -> list[dict[str, Any]]:
        """Returns the exchanges for the page."""
        return [vars(each).copy() for each in self.exchanges]
