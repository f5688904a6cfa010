"""A server is asked, at its own pace: what passes is waited for, what does not is told with its remedy.

Text alone goes there. Whether a request may have been billed although nothing came back is known, so that a user who
will not pay twice need not.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from cxr_lightning.endpoint import client
from cxr_lightning.endpoint.attempts import tried
from cxr_lightning.endpoint.pace import Pace
from cxr_lightning.endpoint.protocol import models_of, reply_of
from cxr_lightning.endpoint.purse import BudgetError
from cxr_lightning.endpoint.reply import Reply, spoken
from cxr_lightning.endpoint.trouble import RefusedError, ServerError, explained, passing, pause, silent
from cxr_lightning.site import shown

TRIES = 12
"""Attempts at a request: about three minutes all together, in which a server loads its model again."""
_LONGEST_BUSY, _TELL_SECONDS = 120.0, 60.0
_SHORTEST_BUSY = 0.5
"""Between two requests to a server that says that it is busy, whatever it wishes."""
_MAYBE_BILLED = (502, 504)
"""What a proxy says that lost the server behind it."""
log = logging.getLogger(__name__)
_CHANCE = random.SystemRandom()
_OUR_WORDS = {"--served_model": "--model", "--parallel": "--concurrency", ", or --api_key KEY": " of the environment"}


class LostError(Exception):
    """Nobody knows whether a request was answered, and it shall not be paid twice."""


class StoppedError(ServerError):
    """A request was held back, for the run ends."""


class Endpoint:
    """A model behind a URL.

    Args:
        url: Where the server listens; `/v1` is added where there is no path.
        model: Which of its models; None takes the only one.
        pace: How fast it may be asked.
        max_tokens: Longest answer.
        direct: Never by way of a proxy that the environment names.
        ask_again: Ask again where a request was cut off.
        patience: Seconds for which one request waits for a server that is busy.

    Attributes:
        name: The model's name.
        max_tokens: Longest answer.
        shown: The URL without user, password and query.
        closing: Set where no more shall leave.

    Raises:
        ServerError: No server answers there, or it does not say what it serves.
    """

    def __init__(
        self,
        url: str,
        model: str | None,
        *,
        pace: Pace,
        max_tokens: int,
        direct: bool,
        ask_again: bool,
        patience: float = 3600.0,
    ) -> None:
        parts = client.split_url(url)
        bare = client.bare_url(parts)
        self.shown, self.closing = shown(bare), threading.Event()
        self._pace, self.max_tokens, self._ask_again = pace, max_tokens, ask_again
        self._patience, self._telling, self._told = patience, threading.Lock(), -math.inf
        self._client: Any = client.open_client(parts, bare, None, direct=direct, extra="summaries")
        self._limit = "max_tokens"
        self.name = model or ""
        self.name = model or self._only_model()

    def answer(
        self,
        messages: list[dict[str, str]],
        *,
        tokens: int,
        name: str,
        leaving: Callable[[], None],
        unpaid: Callable[[], None],
        lost: Callable[[], None],
    ) -> Reply:
        """Answers one question; several threads may ask at once.

        Args:
            messages: Who said what.
            tokens: What it may cost, for the pace.
            name: Its own name, the same whenever it is asked: some servers answer a name they know without new work.
            leaving: Called whenever it is about to leave.
            unpaid: Called if it surely came to nothing.
            lost: Called before it is made again, if it came to nothing and may have been billed all the same.

        Raises:
            RefusedError: The server refuses it.
            LostError: Nothing came back, it may have been billed, and is not to be asked again.
            ServerError: The server is gone, or `closing` is set.
        """
        was_lost = False

        def once() -> Reply:
            nonlocal was_lost
            if was_lost:
                lost()
                was_lost = False
            try:
                return self._once(messages, tokens, name, leaving)
            except Exception as error:
                was_lost = _maybe_billed(error)
                raise

        try:
            return tried(
                once, shown=self.shown, tries=TRIES, closing=self.closing, pause=_pause, passes=self._passes
            )  # fmt: skip
        except BudgetError:
            raise
        except Exception as error:
            if not self._ask_again and _maybe_billed(error):
                raise LostError from None
            told = in_our_words(explained(error, self.shown, self.name, words=False))
            if _is_spent(error):
                told = ServerError(f"{told} Remedy: look at what you pay for there; the same command goes on.")
            if not _maybe_billed(error):
                unpaid()
            raise told from None

    def close(self) -> None:
        """Ends connections."""
        self.closing.set()
        self._client.close()

    def _once(self, messages: list[dict[str, str]], tokens: int, name: str, leaving: Callable[[], None]) -> Reply:
        answer = self._patiently(messages, tokens, name, leaving)
        try:
            reply = reply_of(answer, self.shown)
        except RefusedError:  # an answer without words: paid, and nothing
            return Reply("")
        return Reply(spoken(reply.text), reply.tokens, reply.finish, reply.asked_tokens)

    def _patiently(self, messages: list[dict[str, str]], tokens: int, name: str, leaving: Callable[[], None]) -> Any:
        """Waits while the server is busy, all threads together; that is no failure until patience ends."""
        import openai

        times, begun = 0, time.monotonic()
        while True:
            self._pace.wait(tokens, self.closing)
            if self.closing.is_set():
                raise StoppedError("Stopped.")
            leaving()
            try:
                return self._client.chat.completions.create(
                    model=self.name, messages=messages, temperature=0.0, extra_headers={"Idempotency-Key": name},
                    **{self._limit: self.max_tokens},
                )  # fmt: skip
            except openai.RateLimitError as error:
                if _is_spent(error):
                    raise
                times += 1
                left = begun + self._patience - time.monotonic()
                self._require_patience(left)
                self._pace.hold(min(max(pause(error, times, _LONGEST_BUSY), _SHORTEST_BUSY), left))
            except openai.BadRequestError as error:
                if "max_completion_tokens" not in str(error) or self._limit == "max_completion_tokens":
                    raise
                self._limit = "max_completion_tokens"  # so newer models of OpenAI call it

    def _require_patience(self, left: float) -> None:
        if left <= 0:
            raise StoppedError(
                f"{self.shown} was busy (429) for {self._patience / 60:.4g} minutes. What was answered is kept. "
                "Remedy: the same command goes on, later; or give a larger --busy_minutes, or --requests_per_minute "
                "and --tokens_per_minute as the provider allows."
            )
        self._tell("%s is busy (429); we wait, for %.0f minutes more at most.", self.shown, math.ceil(left / 60))

    def _passes(self, error: Exception) -> bool:
        import openai

        if _is_spent(error) or self.closing.is_set():
            return False
        if not self._ask_again and _maybe_billed(error):
            return False
        if isinstance(error, openai.APIConnectionError):  # attempts take minutes, and silence looks like work
            reason = type(error.__cause__ or error).__name__
            self._tell("No answer from %s (%s); trying again, for some three minutes.", self.shown, reason)
        # A page or half an answer where an answer belongs: something in between stumbled, and may stand again.
        return passing(error) or _is_nonsense(error)

    def _tell(self, words: str, *of: object) -> None:
        """Says something, of all threads together once a minute."""
        with self._telling:
            if time.monotonic() < self._told + _TELL_SECONDS:
                return
            self._told = time.monotonic()
        log.warning(words, *of)

    def _only_model(self) -> str:
        try:
            models = models_of(self._client.models.list(), self.shown)
        except Exception as error:
            raise in_our_words(explained(error, self.shown, "", words=False)) from None
        if len(models) == 1:
            return models[0]
        found = f"serves several models: {', '.join(models[:20])}" if models else "does not say what it serves"
        raise ServerError(f"{self.shown} {found}. Remedy: name one by --model.")


def in_our_words(error: Exception) -> Exception:
    """Returns an error with options as they are called here.

    Args:
        error: What `endpoint.trouble` made.
    """
    text = str(error)
    for theirs, ours in _OUR_WORDS.items():
        text = text.replace(theirs, ours)
    if isinstance(error, RefusedError):
        return RefusedError(text, error.said)
    return type(error)(text) if isinstance(error, ServerError) else error


def _pause(error: Exception, failures: int) -> float:
    return pause(error, failures) * _CHANCE.uniform(1.0, 1.2)  # not all at one moment


def _maybe_billed(error: Exception) -> bool:
    """Tells whether a request that failed may have been answered, and paid, all the same."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code in _MAYBE_BILLED
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__).__name__
        return silent(error) or cause not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
    return _is_nonsense(error) or getattr(error, "final", False)


def _is_spent(error: Exception) -> bool:
    """Tells whether a provider says that what was paid for is used up."""
    return getattr(error, "code", None) == "insufficient_quota"


def _is_nonsense(error: Exception) -> bool:
    """Tells whether an answer came that could not be read."""
    if isinstance(error, (RefusedError, StoppedError, BudgetError)) or getattr(error, "final", False):
        return False
    return isinstance(error, ValueError)
