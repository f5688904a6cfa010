"""Answers from a server that speaks OpenAI's protocol: dialogues leave as messages with PNGs in them, text comes back.

What passes (a busy server, one that restarts) is waited for; what does not pass is told with its remedy (`trouble`).
Films go where the user said and nowhere else: a server that sends us on to another is an error.
"""

from __future__ import annotations

import base64
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from cxr_lightning.endpoint import client
from cxr_lightning.endpoint.ahead import ahead
from cxr_lightning.endpoint.attempts import TRIES, tried
from cxr_lightning.endpoint.protocol import models_of, piece_of, reply_of, streamed
from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.endpoint.trouble import RefusedError, ServerError, explained, pause
from cxr_lightning.serve.dialogue import Dialogue, trimmed
from cxr_lightning.shards.images import encode, shrink
from cxr_lightning.site import shown
from cxr_lightning.stream.conversation import as_messages

T = TypeVar("T")
log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LARGE = 1024


class Remote:
    """A model behind a URL.

    Args:
        url: Where the server listens, such as http://127.0.0.1:8000; `/v1` is added where there is no path.
        model: Which of its models; None takes the only one.
        api_key: What it asks for, if it does; None takes CXR_API_KEY, never OPENAI_API_KEY: that is for another server.
        image_size: Longest side of the films sent; larger ones are shrunk first.
        tries: Attempts at a request.
        direct: Never by way of a proxy that the environment names; without it, only a server on this machine is not.

    Attributes:
        name: The served model's name.
        shown: The URL without user, password and query.

    Raises:
        ServerError: If no server answers there, or it does not say what it serves.
    """

    serves_many = True

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        image_size: int | None = None,
        tries: int = TRIES,
        direct: bool = False,
    ) -> None:
        parts = client.split_url(url)
        self.url, self.image_size = client.bare_url(parts), image_size
        self.shown = shown(self.url)
        self._tries, self._closing = tries, threading.Event()
        self._client: Any = client.open_client(parts, self.url, api_key, direct=direct)
        self._told_size = False
        self.name = model or ""
        self.name = model or self._only_model()

    def replies(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[Reply]:
        """Answers a batch, all of it at once: a server makes batches of its own.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.

        Raises:
            RefusedError: If the server refuses one of them.
            ServerError: If it is gone.
        """
        if len(dialogues) == 1:
            return [self.reply(dialogues[0], max_new_tokens=max_new_tokens)]
        many = max(len(dialogues), 1)
        return list(
            ahead(lambda each: self.reply(each, max_new_tokens=max_new_tokens), dialogues, workers=many, window=many)
        )

    def answers(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[str]:
        """Answers a batch; the texts alone.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.
        """
        return [reply.text for reply in self.replies(dialogues, max_new_tokens=max_new_tokens)]

    def reply(self, dialogue: Dialogue, *, max_new_tokens: int, seed: int | None = None) -> Reply:
        """Answers one dialogue; several threads may ask at once.

        Args:
            dialogue: What is asked; it may have no film.
            max_new_tokens: Longest answer.
            seed: What the server is told to draw by, if it draws.

        Raises:
            RefusedError: If the server refuses it.
            ServerError: If it is gone.
        """
        more = {} if seed is None else {"seed": seed}
        return reply_of(self._tried(self._request(dialogue, max_new_tokens, **more)), self.shown)

    def stream(self, dialogue: Dialogue, *, max_new_tokens: int, stop: threading.Event) -> Generator[str, None, Reply]:
        """Answers piece by piece.

        Args:
            dialogue: What is asked.
            max_new_tokens: Longest answer.
            stop: Ends the answer soon after it is set, also while the server thinks; it is told to stop.

        Yields:
            Text.

        Returns:
            The answer, and how it ended.

        Raises:
            RefusedError: If the server refuses it.
            ServerError: If it is gone, or breaks off.
        """
        pieces: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        leaving, opened, reasons = threading.Event(), list[Any](), list[str]()
        request = self._request(dialogue, max_new_tokens, stream=True)

        def read() -> None:
            try:
                answer = self._tried(request)
                opened.append(answer)
                for chunk in answer:
                    if leaving.is_set():
                        break
                    text, reason = piece_of(chunk, self.shown)
                    reasons.extend([] if reason is None else [reason])
                    pieces.put(text)
                pieces.put(None)
            except Exception as error:
                pieces.put(explained(error, self.shown, self.name))
            finally:
                for answer in opened:
                    answer.close()  # a server that is not read any more stops writing

        threading.Thread(target=read, name="answer", daemon=True).start()
        try:
            text = yield from trimmed(_until(pieces, stop))
        finally:
            leaving.set()
        return streamed(text, reasons[-1] if reasons else None, stopped=stop.is_set() and not reasons, url=self.shown)

    def close(self) -> None:
        """Ends what waits for the server, and its connections."""
        self._closing.set()
        self._client.close()

    def _request(self, dialogue: Dialogue, max_new_tokens: int, **more: Any) -> Callable[[], Any]:
        messages = self._messages(dialogue)  # once, however often it is sent
        return lambda: self._client.chat.completions.create(
            model=self.name, messages=messages, max_tokens=max_new_tokens, temperature=0.0, **more
        )

    def _messages(self, dialogue: Dialogue) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": speaker, "content": text} for speaker, text in dialogue.turns]
        size = self.image_size
        films = dialogue.films if size is None else [shrink(film, size) for film in dialogue.films]
        if size is None and any(max(film.shape) > _LARGE for film in films) and not self._told_size:
            self._told_size = True
            log.warning("Films are sent whole. A model answers best about the size it learned from: say --image_size.")
        urls = ["data:image/png;base64," + base64.b64encode(encode(film, "png")).decode() for film in films]
        if urls:  # text alone goes as text: some servers know no parts
            films_of = iter({"type": "image_url", "image_url": {"url": url}} for url in urls)
            parts = as_messages(dialogue.marked[:1])[0]["content"]
            messages[0]["content"] = [next(films_of) if part["type"] == "image" else part for part in parts]
        return messages

    def _only_model(self) -> str:
        try:
            models = models_of(self._tried(self._client.models.list, tries=1), self.shown)
        except RefusedError as error:
            raise ServerError(f"{error} Remedy: name the model that it serves, by --served_model.") from None
        if len(models) == 1:
            return models[0]
        found = f"serves several models: {', '.join(models)}" if models else "does not say what it serves"
        raise ServerError(f"{self.shown} {found}. Remedy: name one by --served_model.")

    def _tried(self, request: Callable[[], T], tries: int | None = None) -> T:
        """Makes a request again while its failure may pass."""
        most = tries or self._tries
        try:
            return tried(request, shown=self.shown, tries=most, closing=self._closing, pause=pause)
        except Exception as error:
            raise explained(error, self.shown, self.name) from None


def _until(pieces: queue.SimpleQueue[str | Exception | None], stop: threading.Event) -> Iterator[str]:
    """Yields what comes until it ends or is stopped, looking at `stop` also while nothing comes."""
    while not stop.is_set():
        try:
            piece = pieces.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            return
        yield piece
