"""What is asked and who answers: films and turns enter, a reply leaves, whether the model is here or behind a URL.

Films are gray levels as a reader sees them, so that nothing after this file knows of PNG or DICOM.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.shards.contract import IMAGE_MARK, Turn
from cxr_lightning.shards.images import Gray

Speaker = Literal["user", "assistant"]

QUESTION = "Describe this chest radiograph."


@dataclass(frozen=True)
class Dialogue:
    """Films, and what was said about them so far.

    Attributes:
        films: 8-bit gray levels of shape (height, width), the frontal film first; shown with the first turn.
        turns: Who said what, in turn; the user begins and has the last word.
    """

    films: tuple[Gray, ...]
    turns: tuple[tuple[Speaker, str], ...]

    def __post_init__(self) -> None:
        """Refuses turns that no chat template can write.

        Raises:
            ValueError: User and assistant do not take turns, or the last word is not the user's.
        """
        speakers = [speaker for speaker, _ in self.turns]
        if len(speakers) % 2 == 0 or speakers != [("user", "assistant")[n % 2] for n in range(len(speakers))]:
            raise ValueError(f"user and assistant have to speak in turn, and the user last; here spoke {speakers}")

    @property
    def marked(self) -> list[Turn]:
        """The turns as stored conversations have them, `<image>` for each film: where it is said, else in front."""
        turns: list[Turn] = [{"role": speaker, "content": text} for speaker, text in self.turns]
        if turns[0]["content"].count(IMAGE_MARK) != len(self.films):
            turns[0]["content"] = f"{IMAGE_MARK}\n" * len(self.films) + turns[0]["content"]
        return turns

    @classmethod
    def ask(cls, *films: Gray, question: str = QUESTION) -> Dialogue:
        """Returns one question about films.

        Args:
            *films: The films, the frontal one first.
            question: What to ask.
        """
        return cls(films, (("user", question),))


class Responder(Protocol):
    """Who answers: a folder's model in this process, or a server."""

    name: str
    """What to show: the folder's name, or that of the served model."""
    image_size: int | None
    """Longest side to which films are shrunk before they are shown, if that is known."""
    serves_many: bool
    """Whether several threads may ask at once, and gain by it."""

    def replies(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[Reply]:
        """Answers a batch, greedily.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.
        """
        ...

    def answers(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[str]:
        """Answers a batch, greedily; the texts alone.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.
        """
        ...

    def stream(self, dialogue: Dialogue, *, max_new_tokens: int, stop: threading.Event) -> Generator[str, None, Reply]:
        """Answers piece by piece; all pieces together are what `answers` returns.

        Args:
            dialogue: What is asked.
            max_new_tokens: Longest answer.
            stop: Ends the answer soon after it is set, from another thread.

        Yields:
            Text.

        Returns:
            The answer, and how it ended: one that is cut off looks like a whole one.
        """
        ...

    def close(self) -> None:
        """Lets go of connections; what waits for an answer ends."""
        ...


def trimmed(pieces: Iterable[str]) -> Generator[str, None, str]:
    """Leaves out white space before and after a text that comes in pieces.

    Args:
        pieces: The text.

    Returns:
        All of it.
    """
    held, begun, whole = "", False, ""
    for piece in pieces:
        text = held + piece if begun else (held + piece).lstrip()
        kept = text.rstrip()
        held = text[len(kept) :]
        if kept:
            begun = True
            whole += kept
            yield kept
    return whole
