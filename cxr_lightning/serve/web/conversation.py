"""Questions and answers about one study, as the page shows them and as a model is told them.

An answer that was stopped or cut off counts as what was said so far; one that failed is shown and never told to the
model. Neither is what was said about other films than those that it is shown now: they may be another patient's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cxr_lightning.serve.dialogue import Dialogue, Speaker
from cxr_lightning.serve.web.film import Place
from cxr_lightning.shards.images import Gray

Ended = Literal["", "stopped", "cut", "failed"]


@dataclass
class Exchange:
    """A question and its answer.

    Attributes:
        question: What was asked.
        films: Where the films stood that the model was shown.
        about: Which films those were.
        warnings: What their files say against asking about them.
        answer: What was answered so far.
        ended: How the answer ended, if not by itself.
        error: Why there is none, or no more of it, for people.
        tokens: After how many tokens it was cut off.
    """

    question: str
    films: tuple[Place, ...]
    about: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    answer: str = ""
    ended: Ended = ""
    error: str = ""
    tokens: int = 0


@dataclass
class Conversation:
    """All exchanges about a study.

    Attributes:
        exchanges: In the order they were made.
    """

    exchanges: list[Exchange] = field(default_factory=list)

    def dialogue(self, films: tuple[Gray, ...]) -> Dialogue:
        """Returns what the model is told: the films, what was answered about exactly these, and the last question.

        Args:
            films: What it is shown.
        """
        last, turns = self.exchanges[-1], list[tuple[Speaker, str]]()
        for each in self.exchanges[:-1]:
            if each.about == last.about and each.ended != "failed" and each.answer.strip():
                turns += [("user", each.question), ("assistant", each.answer)]
        return Dialogue(films, (*turns, ("user", last.question)))

    def shown(self) -> list[dict[str, Any]]:
        """Returns the exchanges for the page."""
        return [vars(each).copy() for each in self.exchanges]
