"""Answers from a server that speaks OpenAI's protocol: dialogues leave as messages with PNGs in them, text comes back.

What passes (a busy server, one that restarts) is waited for; what does not pass is told with its remedy. A request that
the server refuses is one dialogue's fault, a server that is gone is everyone's, and so they are two errors.
"""

from __future__ import annotations

import base64
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cxr_lightning.serve.address import is_loopback
from cxr_lightning.serve.dialogue import Dialogue, Finish, Reply, trimmed
from cxr_lightning.shards.images import encode, shrink

T = TypeVar("T")
log = logging.getLogger(__name__)

TRIES = 7
"""Attempts at a request: a minute all together, in which a server can restart."""
_LONGEST_WAIT = 30.0
_ANSWER_SECONDS = 600.0
_POLL_SECONDS = 0.1
_LARGE = 1024


class ServerError(ValueError):
    """A server is not there, went away, or does not let us in."""


class RefusedError(ValueError):
    """A server does not answer one request, and others it may."""


class Remote:
    """A model behind a URL.

    Args:
        url: Where the server listens, such as http://127.0.0.1:8000; `/v1` is added where there is no path.
        model: Which of its models; None takes the only one.
        api_key: What it asks for, if it does; None takes CXR_API_KEY, never OPENAI_API_KEY: that is for another server.
        image_size: Longest side of the films sent; larger ones are shrunk first.
        tries: Attempts at a request.

    Attributes:
        name: The served model's name.

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
    ) -> None:
        self.url, self.image_size = _base(url), image_size
        self._tries, self._closing = tries, threading.Event()
        self._client: Any = _client(self.url, api_key)
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
            return [self._reply(dialogues[0], max_new_tokens)]
        with ThreadPoolExecutor(len(dialogues) or 1) as pool:
            return list(pool.map(lambda dialogue: self._reply(dialogue, max_new_tokens), dialogues))

    def answers(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[str]:
        """Answers a batch; the texts alone.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.
        """
        return [reply.text for reply in self.replies(dialogues, max_new_tokens=max_new_tokens)]

    def stream(self, dialogue: Dialogue, *, max_new_tokens: int, stop: threading.Event) -> Iterator[str]:
        """Answers piece by piece.

        Args:
            dialogue: What is asked.
            max_new_tokens: Longest answer.
            stop: Ends the answer soon after it is set, also while the server thinks; it is told to stop.
        """
        pieces: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        leaving, opened = threading.Event(), list[Any]()

        def read() -> None:
            try:
                answer = self._tried(lambda: self._create(dialogue, max_new_tokens, stream=True))
                opened.append(answer)
                for chunk in answer:
                    if leaving.is_set():
                        break
                    pieces.put((chunk.choices[0].delta.content or "") if chunk.choices else "")
                pieces.put(None)
            except Exception as error:
                pieces.put(_explained(error, self))
            finally:
                for answer in opened:
                    answer.close()  # a server that is not read any more stops writing

        threading.Thread(target=read, name="answer", daemon=True).start()
        try:
            yield from trimmed(_until(pieces, stop))
        finally:
            leaving.set()

    def close(self) -> None:
        """Ends what waits for the server, and its connections."""
        self._closing.set()
        self._client.close()

    def _reply(self, dialogue: Dialogue, max_new_tokens: int) -> Reply:
        answer = self._tried(lambda: self._create(dialogue, max_new_tokens))
        if not answer.choices:
            raise RefusedError(f"{self.url} answered without a choice")
        choice, usage = answer.choices[0], answer.usage
        finish: Finish | None = choice.finish_reason if choice.finish_reason in ("stop", "length") else None
        return Reply((choice.message.content or "").strip(), usage.completion_tokens if usage else None, finish)

    def _create(self, dialogue: Dialogue, max_new_tokens: int, **more: Any) -> Any:
        return self._client.chat.completions.create(
            model=self.name, messages=self._messages(dialogue), max_tokens=max_new_tokens, temperature=0.0, **more
        )

    def _messages(self, dialogue: Dialogue) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": speaker, "content": text} for speaker, text in dialogue.turns]
        size = self.image_size
        films = dialogue.films if size is None else [shrink(film, size) for film in dialogue.films]
        if size is None and any(max(film.shape) > _LARGE for film in films) and not self._told_size:
            self._told_size = True
            log.warning("Films are sent whole. A model answers best about the size it learned from: say --image_size.")
        urls = ["data:image/png;base64," + base64.b64encode(encode(film, "png")).decode() for film in films]
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        messages[0]["content"] = [*parts, {"type": "text", "text": messages[0]["content"]}]
        return messages

    def _only_model(self) -> str:
        import openai

        try:
            models = [model.id for model in self._tried(lambda: list(self._client.models.list()), tries=1)]
        except RefusedError as error:
            raise ServerError(f"{error} Remedy: name the model that it serves, by --served_model.") from None
        except openai.OpenAIError as error:  # it answers, and not in this protocol
            raise ServerError(f"{self.url} is no server of OpenAI's protocol ({type(error).__name__}).") from None
        if len(models) == 1:
            return models[0]
        found = f"serves several models: {', '.join(models)}" if models else "does not say what it serves"
        raise ServerError(f"{self.url} {found}. Remedy: name one by --served_model.")

    def _tried(self, request: Callable[[], T], tries: int | None = None) -> T:
        """Makes a request again while its failure may pass."""
        for failures in range(1, (tries or self._tries) + 1):
            try:
                return request()
            except Exception as error:
                last = failures == (tries or self._tries) or self._closing.is_set() or not _passing(error)
                if last:
                    raise _explained(error, self) from None
                log.debug("%s: %s, trying again", self.url, type(error).__name__)
                self._closing.wait(_wait(error, failures))
        raise AssertionError


def _client(url: str, api_key: str | None) -> Any:
    try:
        import openai
    except ImportError:
        raise ServerError(
            "asking a server needs the openai package. Remedy: pip install 'cxr-lightning[serve]'"
        ) from None
    # A proxy that the environment names is for the world outside, never for this machine.
    http = openai.DefaultHttpxClient(trust_env=not is_loopback(urlsplit(url).hostname or ""))
    return openai.OpenAI(
        base_url=url,
        api_key=api_key or os.environ.get("CXR_API_KEY") or "none",
        max_retries=0,
        timeout=_ANSWER_SECONDS,
        http_client=http,
    )


def _base(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ServerError(f"{url} names no server. Remedy: give one such as http://127.0.0.1:8000")
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def _passing(error: Exception) -> bool:
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)


def _wait(error: Exception, failures: int) -> float:
    """Returns how long to wait: as the server wishes, else twice as long each time."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(max(float(headers.get("retry-after", "")), 0.0), _LONGEST_WAIT)
    except ValueError:
        return min(0.5 * 2.0 ** (failures - 1), _LONGEST_WAIT)


def _explained(error: Exception, remote: Remote) -> Exception:
    import openai

    url = remote.url
    if isinstance(error, openai.APIConnectionError):
        return ServerError(
            f"no server answers at {url} ({error.__cause__ or error}). Remedy: start it, such as by cxr serve MODEL; "
            "is it host and port that it printed?"
        )
    if not isinstance(error, openai.APIStatusError):
        return error
    said = f"it says {error.status_code}: {_said(error)}"
    if error.status_code in (401, 403):
        return ServerError(f"{url} lets nobody in without its key; {said}. Remedy: --api_key KEY, or CXR_API_KEY.")
    unknown = error.status_code == 404 or "pinned to" in _said(error)
    if unknown and remote.name:
        return ServerError(
            f"{url} does not serve {remote.name!r}; {said}. Remedy: leave out --served_model, or name what it serves."
        )
    return RefusedError(f"{url} refuses; {said}.")


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = body.get("message") or body.get("detail") or error.message
    return " ".join(str(text).split())[:300].rstrip(".")


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
