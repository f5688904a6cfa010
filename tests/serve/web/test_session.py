"""A session holds what one visitor has, and forgets it; who asks first is answered first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cxr_lightning.serve.web.film import read_film
from cxr_lightning.serve.web.session import PageRefusal, Session, Sessions
from cxr_lightning.serve.web.turnstile import Turnstile
from tests.serve.web.conftest import await_true, png

pytestmark = pytest.mark.quick
FILM = read_film(png(np.arange(64, dtype=np.uint8).reshape(8, 8)))


class Parrot:
    """Says what it was told, or fails."""

    name = "parrot"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def stream(self, dialogue, *, max_new_tokens, stop):
        if self.error:
            raise self.error
        yield " | ".join(text for _, text in dialogue.turns)


def asked(session: Session, question: str, responder: Parrot | None = None, *, again: bool = False) -> str:
    exchange = session.ask(question, again=again)
    session.answer(exchange, responder or Parrot(), Turnstile(1), max_new_tokens=8)
    return exchange.answer or exchange.error


def test_films_go_where_they_were_dropped_or_where_there_is_room():
    session = Session()
    assert [session.put(FILM, "lateral"), session.put(FILM, "lateral")] == ["lateral", "frontal"]
    with pytest.raises(PageRefusal, match="Two films"):
        session.put(FILM, None)
    session.remove("frontal")
    session.swap()
    assert list(session.films) == ["frontal"]


def test_the_model_is_told_all_turns_but_those_without_an_answer():
    session = Session()
    session.put(FILM, None)
    assert asked(session, "one") == "one"
    assert asked(session, "two", Parrot(ValueError("gone"))) == "gone"
    assert asked(session, "three") == "one | one | three"
    assert asked(session, "", again=True) == "one | one | three"
    assert [each.question for each in session.conversation.exchanges] == ["one", "two", "three"]


def test_an_error_that_is_not_for_people_is_not_shown():
    session = Session()
    session.put(FILM, None)
    told = asked(session, "one", Parrot(RuntimeError("tensor 0x7f")))
    assert "RuntimeError" in told
    assert "0x7f" not in told


def test_what_cannot_be_asked_is_refused():
    session = Session()
    with pytest.raises(PageRefusal, match="no film"):
        session.ask("one")
    session.put(FILM, None)
    with pytest.raises(PageRefusal, match="no question"):
        session.ask("  ")
    session.ask("one")
    for act in (lambda: session.ask("two"), session.swap, lambda: session.remove("frontal")):
        with pytest.raises(PageRefusal, match="being written"):
            act()


def test_a_quiet_session_is_forgotten_and_memory_is_bounded():
    sessions = Sessions(most_bytes=FILM.bytes + 1, quiet_seconds=0.0)
    session = sessions.begin()
    sessions.room_for(FILM)
    session.put(FILM, None)
    with pytest.raises(PageRefusal, match="no room"):
        sessions.room_for(FILM)
    sessions.sweep()
    with pytest.raises(PageRefusal, match="forgotten"):
        sessions[session.key]
    assert session.films == {}


def test_who_comes_first_goes_first_and_who_gives_up_goes():
    turnstile, order = Turnstile(1), list[int]()
    tickets, given_up = [object() for _ in range(4)], [threading.Event() for _ in range(4)]
    go_on = threading.Event()

    def pass_through(number: int) -> None:
        with turnstile.turn(tickets[number], given_up[number]) as mine:
            if mine:
                order.append(number)
                go_on.wait(10)

    threads = [threading.Thread(target=pass_through, args=(number,)) for number in range(4)]
    for number, thread in enumerate(threads):
        thread.start()
        await_true(lambda number=number: turnstile.ahead(tickets[number]) == number)
    given_up[1].set()
    await_true(lambda: turnstile.ahead(tickets[3]) == 2)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert order == [0, 2, 3]
    assert turnstile.ahead(tickets[3]) == 0
