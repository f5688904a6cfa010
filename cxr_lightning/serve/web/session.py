"""What one visitor has on the page: films, a conversation, an answer being written; in memory alone, and forgotten.

A session is known by a key that nobody can guess and only its own page gets. It ends when the page says so, when its
connection is gone, or when it was quiet for too long; nothing of it is left then.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from cxr_lightning.serve.dialogue import Responder
from cxr_lightning.serve.web.conversation import Conversation, Exchange
from cxr_lightning.serve.web.film import PLACES, Film, Place
from cxr_lightning.serve.web.turnstile import Turnstile

_log = logging.getLogger(__name__)

Phase = Literal["idle", "waiting", "answering"]
QUIET_SECONDS = 3600.0
"""A session that nothing was heard of for so long ends."""
MOST_BYTES = 4 << 30
"""Memory that the films of all sessions may take together."""
LONGEST_QUESTION = 4000
FORGOTTEN = (
    "What this page held is forgotten: its connection was lost, or nothing was heard of it for an hour. "
    "Reload it to go on."
)


class PageRefusal(ValueError):
    """The page cannot do what was asked; the message is for the one who asked."""


@dataclass
class Session:
    """One visitor's.

    Attributes:
        key: Known to its own page alone.
        films: By place.
        conversation: About them.
        phase: What happens now.
        stop: Set to end the answer being written.
        seen: When something was heard of it last, in seconds of the monotonic clock.
    """

    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    films: dict[Place, Film] = field(default_factory=dict)
    conversation: Conversation = field(default_factory=Conversation)
    phase: Phase = "idle"
    stop: threading.Event = field(default_factory=threading.Event)
    seen: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, film: Film, wish: Place | None) -> Place:
        """Takes a film: where it was dropped, else where its header says, else where there is room.

        Args:
            film: The film.
            wish: Where it was dropped.

        Raises:
            PageRefusal: There are two films already, or an answer about the others is being written.
        """
        with self.lock:
            self._idle()
            free = [place for place in PLACES if place not in self.films]
            for place in (wish, film.position, *free):
                if place in free:
                    self.films[place] = film
                    return place
        raise PageRefusal("Two films are here already. Remove one, or begin a new study.")

    def swap(self) -> None:
        """Makes the frontal film the lateral one, and the other way round."""
        with self.lock:
            self._idle()
            self.films = {("lateral" if place == "frontal" else "frontal"): film for place, film in self.films.items()}

    def remove(self, place: Place) -> None:
        """Forgets a film."""
        with self.lock:
            self._idle()
            self.films.pop(place, None)

    def clear(self) -> None:
        """Forgets films and conversation; an answer being written ends."""
        with self.lock:
            self.stop.set()
            self.films, self.conversation = {}, Conversation()

    def ask(self, question: str, *, lateral: bool = True, again: bool = False) -> Exchange:
        """Begins an exchange.

        Args:
            question: What is asked.
            lateral: Whether the model is shown the lateral film beside the frontal one.
            again: Ask the last question once more instead, forgetting its answer.

        Raises:
            PageRefusal: Nothing is asked, there is no film, or the last answer is still being written.
        """
        with self.lock:
            self._idle()
            if again and self.conversation.exchanges:
                question = self.conversation.exchanges[-1].question
            question = question.strip()[:LONGEST_QUESTION]
            if not question:
                raise PageRefusal("There is no question yet. Write one, or choose one of those suggested.")
            if not self.films:
                raise PageRefusal("There is no film yet. Drop one into the viewer first.")
            if again:
                self.conversation.exchanges[-1:] = []
            there = tuple(place for place in PLACES if place in self.films)
            exchange = Exchange(question, there if lateral else there[:1])
            self.conversation.exchanges.append(exchange)
            self.phase, self.stop = "waiting", threading.Event()
            return exchange

    def answer(self, exchange: Exchange, responder: Responder, turnstile: Turnstile, *, max_new_tokens: int) -> None:
        """Fetches the answer to the exchange that was begun, in the calling thread, and writes it there as it comes.

        Args:
            exchange: What `ask` returned.
            responder: Who answers.
            turnstile: The queue before it.
            max_new_tokens: Longest answer.
        """
        stop = self.stop
        dialogue = self.conversation.dialogue(tuple(self.films[place].gray for place in exchange.films))
        try:
            with turnstile.turn(exchange, stop) as mine:
                if mine:
                    self.phase = "answering"
                    for piece in responder.stream(dialogue, max_new_tokens=max_new_tokens, stop=stop):
                        exchange.answer += piece
                        if stop.is_set():  # whatever else is on its way
                            break
        except Exception as error:  # a server can fail in every way there is; the page goes on
            exchange.ended, exchange.error = "failed", _for_people(error)
        finally:
            if stop.is_set() and not exchange.ended:
                exchange.ended = "stopped"
            self.phase = "idle"

    def _idle(self) -> None:
        if self.phase != "idle":
            raise PageRefusal("An answer is being written. Wait for it, or stop it first.")


def _for_people(error: Exception) -> str:
    if isinstance(error, (ValueError, OSError)) and str(error):
        return str(error)
    _log.error("an answer failed: %s", type(error).__name__)  # not its text, which may quote the question
    return (
        f"The model failed ({type(error).__name__}). Ask again; if it fails again, tell whoever runs this page, "
        "whose terminal names the error."
    )


class Sessions:
    """All sessions.

    Args:
        most_bytes: Memory that all films may take together.
        quiet_seconds: When a session that nothing is heard of ends.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._all: dict[str, Session] = {}
        self._most_bytes, self._quiet_seconds = most_bytes, quiet_seconds
        self._lock = threading.Lock()

    def begin(self) -> Session:
        """Begins a session."""
        session = Session()
        with self._lock:
            self._all[session.key] = session
        return session

    def sweep(self) -> None:
        """Ends the sessions that were quiet for too long."""
        for session in self:
            if session.phase == "idle" and time.monotonic() - session.seen > self._quiet_seconds:
                self.end(session.key)

    def find(self, key: str) -> Session | None:
        """Returns the session of a key, of which something was heard now; None if there is none, or no longer."""
        with self._lock:
            session = self._all.get(key)
        if session is not None:
            session.seen = time.monotonic()
        return session

    def __getitem__(self, key: str) -> Session:
        """Returns the session of a key.

        Raises:
            PageRefusal: There is none, or no longer.
        """
        session = self.find(key)
        if session is None:
            raise PageRefusal(FORGOTTEN)
        return session

    def __iter__(self) -> Iterator[Session]:
        with self._lock:
            return iter(list(self._all.values()))

    def end(self, key: str) -> None:
        """Forgets a session and all it held."""
        with self._lock:
            session = self._all.pop(key, None)
        if session is not None:
            session.clear()

    def room_for(self, film: Film) -> None:
        """Refuses a film that memory has no room for.

        Raises:
            PageRefusal: There is none.
        """
        held = sum(each.bytes for session in self for each in session.films.values())
        if held + film.bytes > self._most_bytes:
            raise PageRefusal(
                "Others have many films open, and there is no room for this one now. Try in a few minutes."
            )
