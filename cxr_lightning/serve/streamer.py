"""Tokens enter one by one as a model writes them, text leaves as soon as it is certain.

transformers' own streamer holds text back until a space and decodes a growing line again and again; a reader waits for
words, and a line without spaces for ever. Here each token's text leaves at once, unless it ends within a character.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

from torch import Tensor

_HALF = "\N{REPLACEMENT CHARACTER}"


class Streamer:
    """What `generate` of transformers writes to, from its thread, and a reader reads from, in another.

    Args:
        tokenizer: Decodes tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        self._prompted = False
        self._ids: list[int] = []
        self._told, self._shown = 0, ""  # tokens whose text has left, and how they read in front of the next ones

    def put(self, ids: Tensor) -> None:
        """Takes the prompt, which is not shown, and then each token.

        Args:
            ids: Tokens.
        """
        if not self._prompted:
            self._prompted = True
            return
        self._ids += ids.flatten().tolist()
        self._flush()

    def end(self) -> None:
        """Ends the text."""
        self._flush(last=True)
        self._pieces.put(None)

    def fail(self, error: BaseException) -> None:
        """Ends the text by an error.

        Args:
            error: What the reader is to raise.
        """
        self._pieces.put(error)

    def pieces(self) -> Iterator[str]:
        """Yields text as it comes.

        Raises:
            BaseException: What `fail` was given.
        """
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _flush(self, last: bool = False) -> None:
        # Decoded together with the tokens shown last: a space may belong to the one before.
        text = self._decode(self._ids)
        new = text[len(self._shown) :]
        if not new or (new.endswith(_HALF) and not last):
            return
        self._pieces.put(new)
        self._ids = self._ids[self._told :]
        self._told, self._shown = len(self._ids), self._decode(self._ids)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text
