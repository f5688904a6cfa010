"""What one visitor has on the page: films, a conversation, an answer being written; in memory alone, and forgotten.

A session is known by a key that nobody can guess and only its own page gets. What comes from the page names the study
that it belongs to, by number: what is still on its way when the next study begins is not taken for that one's.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.serve.dialogue import Dialogue, Responder
from cxr_lightning.serve.web.conversation import Conversation, Exchange
from cxr_lightning.serve.web.film import PLACES, Film, Place
from cxr_lightning.serve.web.turnstile import Turnstile
from cxr_lightning.serve.web.wording import for_visitors

Phase = Literal["idle", "waiting", "answering"]
LONGEST_QUESTION = 4000
FORGOTTEN = (
    "What this page held is forgotten: its connection was lost, or nothing was heard of it for an hour. "
    "Reload it to go on."
)


class PageRefusal(ValueError):
    """The page cannot do what was asked; the message is for the one who asked."""


@dataclass(eq=False)
class Asked:
    """A question on its way: all that its writer needs, whatever becomes of the session meanwhile.

    Attributes:
        exchange: Where the answer is written.
        dialogue: What the model is told.
        number: The page's own of its questions.
        stop: Set to end the answer.
        phase: Whether it waits in line.
    """

    exchange: Exchange
    dialogue: Dialogue
    number: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    phase: Phase = "waiting"


@dataclass
class Session:
    """One visitor's.

    Attributes:
        key: Known to its own page alone.
        owner: The login that it was begun under; empty where nobody signs in.
        study: How many studies its page has closed.
        films: By place.
        conversation: About them.
        asked: What is being answered.
        number: The last question's, as the page numbers them.
        stopped: The last question that the page stopped; the word may come before the question.
        over: Whether it has ended.
        seen: When something was heard of it last, in seconds of the monotonic clock.
    """

    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    owner: str = ""
    study: int = 0
    films: dict[Place, Film] = field(default_factory=dict)
    conversation: Conversation = field(default_factory=Conversation)
    asked: Asked | None = None
    number: int = 0
    stopped: int = -1
    over: bool = False
    seen: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def phase(self) -> Phase:
        """What happens now."""
        asked = self.asked
        return asked.phase if asked else "idle"

    def put(self, film: Film, wish: Place | None, study: int | None = None) -> Place:
        """Takes a film: where it was dropped, else where its header says, else where there is room.

        Args:
            film: The film.
            wish: Where it was dropped.
            study: The study that it was brought for; None for the present one.

        Raises:
            PageRefusal: There are two films already, an answer about the others is being written, or the study that it
                was brought for is closed.
        """
        with self.lock:
            self._reach(study)
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

    def clear(self, study: int | None = None) -> None:
        """Forgets films and conversation; an answer being written ends.

        Args:
            study: The number of the study that begins, unless it has begun already; None for the next.
        """
        with self.lock:
            study = self.study + 1 if study is None else study
            if study > self.study:
                self._begin(study)

    def end(self) -> None:
        """Forgets everything, and takes nothing any more."""
        with self.lock:
            self.over = True
            self._begin(self.study + 1)

    def stop(self, number: int | None = None) -> None:
        """Ends an answer.

        Args:
            number: That of its question, which may still be on its way; None for whichever is written.
        """
        with self.lock:
            self.stopped = max(self.stopped, self.number if number is None else number)
            if self.asked and self.asked.number <= self.stopped:
                self.asked.stop.set()

    def ask(
        self, question: str, *, lateral: bool = True, again: bool = False, number: int | None = None,
        study: int | None = None,
    ) -> Asked:  # fmt: skip
        """Begins an exchange.

        Args:
            question: What is asked.
            lateral: Whether the model is shown the lateral film.
            again: Ask the last question once more instead, forgetting its answer.
            number: The page's own of its questions; None for the next.
            study: The study that is asked about; None for the present one.

        Raises:
            PageRefusal: Nothing is asked, there is no film that the model may see, or the last answer is still being
                written.
        """
        with self.lock:
            self.number = self.number + 1 if number is None else max(number, self.number)
            self._reach(study)
            self._idle()
            exchanges = self.conversation.exchanges
            if again and exchanges:
                question = exchanges[-1].question
            question = question.strip()[:LONGEST_QUESTION]
            if not question:
                raise PageRefusal("There is no question yet. Write one, or choose one of those suggested.")
            films = self._for_model(lateral)
            if again:
                exchanges[-1:] = []
            warnings = tuple(film.warning for film in films.values() if film.warning)
            exchanges.append(Exchange(question, tuple(films), tuple(film.name for film in films.values()), warnings))
            dialogue = self.conversation.dialogue(tuple(film.gray for film in films.values()))
            self.asked = Asked(exchanges[-1], dialogue, self.number)
            if self.number <= self.stopped:
                self.asked.stop.set()
            return self.asked

    def answer(self, asked: Asked, responder: Responder, turnstile: Turnstile, *, max_new_tokens: int) -> None:
        """Fetches an answer, in the calling thread, and writes it into its exchange as it comes.

        Args:
            asked: What `ask` returned.
            responder: Who answers.
            turnstile: The queue before it.
            max_new_tokens: Longest answer.
        """
        exchange, stop = asked.exchange, asked.stop
        try:
            with turnstile.turn(asked, stop) as mine:
                if mine:
                    asked.phase = "answering"
                    pieces = responder.stream(asked.dialogue, max_new_tokens=max_new_tokens, stop=stop)
                    reply = _write(exchange, pieces, stop)
                    if reply and reply.finish == "length":
                        exchange.ended, exchange.tokens = "cut", reply.tokens or max_new_tokens
        except Exception as error:  # a server can fail in every way there is; the page goes on
            exchange.ended, exchange.error = "failed", for_visitors(error)
        finally:
            if stop.is_set() and not exchange.ended:
                exchange.ended = "stopped"
            with self.lock:
                if self.asked is asked:
                    self.asked = None

    def _for_model(self, lateral: bool) -> dict[Place, Film]:
        if not self.films:
            raise PageRefusal("There is no film yet. Drop one into the viewer first.")
        films = {place: self.films[place] for place in PLACES if place in self.films}
        if not lateral:
            films.pop("lateral", None)
        if not films:  # a model of frontal films describes a heart and two lungs in it all the same
            raise PageRefusal(
                "Only a lateral film is here, and the model is not to read it. Add the frontal one, tick Model reads "
                "it, or press ⇄ if this one is frontal."
            )
        return films

    def _reach(self, study: int | None) -> None:
        """Begins the study that the page has come to, or refuses what comes from one before."""
        if self.over:
            raise PageRefusal(FORGOTTEN)
        if study is not None and study < self.study:
            raise PageRefusal("The study that this belongs to is closed; a new study has begun.")
        if study is not None and study > self.study:
            self._begin(study)

    def _begin(self, study: int) -> None:
        if self.asked:
            self.asked.stop.set()
        self.study, self.asked, self.films, self.conversation = study, None, {}, Conversation()

    def _idle(self) -> None:
        if self.asked:
            raise PageRefusal("An answer is being written. Wait for it, or stop it first.")


def _write(exchange: Exchange, pieces: Generator[str, None, Reply], stop: threading.Event) -> Reply | None:
    """Writes an answer down until it ends, and returns how; None if it was stopped."""
    with contextlib.closing(pieces):
        while not stop.is_set():  # whatever else is on its way
            try:
                exchange.answer += next(pieces)
            except StopIteration as end:
                reply: Reply | None = end.value
                return reply
    return None
