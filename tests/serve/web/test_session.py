"""A session holds what one visitor has, and forgets it; who asks first is answered first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.serve.web.film import read_film
from cxr_lightning.serve.web.session import PageRefusal, Session
from cxr_lightning.serve.web.sessions import Sessions
from cxr_lightning.serve.web.turnstile import Turnstile
from tests.serve.web.conftest import await_true, png

pytestmark = pytest.mark.quick
FILM, OTHER = (read_film(png(np.arange(64, dtype=np.uint8).reshape(8, 8) + more)) for more in (0, 1))


class Parrot:
    """Says what it was told, or fails after a word."""

    name = "parrot"

    def __init__(self, error: Exception | None = None, finish: str = "stop") -> None:
        self.error, self.finish = error, finish

    def stream(self, dialogue, *, max_new_tokens, stop):
        if self.error:
            yield "There is"
            raise self.error
        said = " | ".join(text for _, text in dialogue.turns)
        yield said
        return Reply(said, max_new_tokens, self.finish)


def asked(session: Session, question: str, responder: Parrot | None = None, *, again: bool = False) -> str:
    asked = session.ask(question, again=again)
    session.answer(asked, responder or Parrot(), Turnstile(1), max_new_tokens=8)
    return asked.exchange.error or asked.exchange.answer


def test_films_go_where_they_were_dropped_or_where_there_is_room():
    session = Session()
    assert [session.put(FILM, "lateral"), session.put(FILM, "lateral")] == ["lateral", "frontal"]
    with pytest.raises(PageRefusal, match="Two films"):
        session.put(FILM, None)
    session.remove("frontal")
    session.swap()
    assert list(session.films) == ["frontal"]


def test_the_model_is_told_all_turns_but_those_that_failed():
    session = Session()
    session.put(FILM, None)
    assert asked(session, "one") == "one"
    assert asked(session, "two", Parrot(ValueError("gone"))).startswith("Gone.")
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


def test_one_patients_answers_are_not_told_about_anothers_film():
    session = Session()
    session.put(FILM, None)
    asked(session, "one")
    session.remove("frontal")
    session.put(OTHER, None)
    assert asked(session, "two") == "two"
    session.remove("frontal")
    session.put(FILM, None)  # the very same film again
    assert asked(session, "three") == "one | one | three"
    session.put(OTHER, "lateral")
    assert asked(session, "four") == "four"
    about = [each["about"] for each in session.conversation.shown()]
    assert about == [(FILM.name,), (OTHER.name,), (FILM.name,), (FILM.name, OTHER.name)]


def test_a_film_on_its_way_does_not_land_in_the_next_study():
    sessions = Sessions()
    session = sessions.begin()
    session.clear(1)
    for late in (lambda: sessions.put(session, FILM, None, 0), lambda: session.ask("one", study=0)):
        with pytest.raises(PageRefusal, match="closed"):
            late()
    session.clear(1)  # the word for what has begun already
    sessions.put(session, OTHER, None, 2)  # and a film that came before the word
    session.clear(2)
    assert session.films == {"frontal": OTHER}
    sessions.end(session.key)
    with pytest.raises(PageRefusal, match="forgotten"):
        sessions.put(session, FILM, None)
    assert session.films == {}


def test_a_new_study_right_after_asking_leaves_nothing_hanging():
    session = Session()
    session.put(FILM, None)
    early = session.ask("one")
    session.clear()
    assert session.phase == "idle"
    session.put(OTHER, None)
    late = session.ask("two")
    session.answer(early, Parrot(), Turnstile(1), max_new_tokens=8)
    assert (early.exchange.ended, early.exchange.answer, session.phase) == ("stopped", "", "waiting")
    session.answer(late, Parrot(), Turnstile(1), max_new_tokens=8)
    assert (late.exchange.answer, session.phase) == ("two", "idle")


def test_a_word_to_stop_that_comes_before_its_question_is_heard():
    session = Session()
    session.put(FILM, None)
    session.stop(1)
    for number, ended in ((1, "stopped"), (2, "")):
        asked = session.ask("one", number=number)
        session.answer(asked, Parrot(), Turnstile(1), max_new_tokens=8)
        assert asked.exchange.ended == ended


def test_an_answer_that_was_cut_off_says_so():
    session = Session()
    session.put(FILM, None)
    asked(session, "one", Parrot(finish="length"))
    told = session.conversation.shown()[0]
    assert (told["answer"], told["ended"], told["tokens"]) == ("one", "cut", 8)


def test_a_lone_lateral_is_not_read_unasked():
    session = Session()
    session.put(FILM, "lateral")
    with pytest.raises(PageRefusal, match="Only a lateral"):
        session.ask("one", lateral=False)
    assert session.ask("one", lateral=True).exchange.films == ("lateral",)


def test_visitors_are_told_no_address_no_password_and_no_remedy_for_a_shell(caplog):
    session = Session()
    session.put(FILM, None)
    url = "http://ben:secret@far:8000/v1"
    gone = asked(session, "one", Parrot(ServerError(f"no server answers at {url} (refused). Remedy: cxr serve MODEL")))
    refused = asked(session, "two", Parrot(ValueError(f"{url} refuses; it says 400: too long. Remedy: --x")))
    assert gone.startswith("The model's server does not answer.")
    assert refused.startswith("The model's server refuses; it says 400: too long.")
    assert not any(word in gone + refused for word in ("far", "ben", "secret", "cxr", "--", "Remedy"))
    assert "far:8000" in caplog.text
    assert "secret" not in caplog.text


def test_a_session_is_its_logins_alone():
    sessions = Sessions()
    session = sessions.begin("anna's")
    sessions.end(session.key, "ben's")
    assert sessions.find(session.key, "ben's") is None
    assert sessions.find(session.key, "anna's") is session


def test_a_quiet_session_is_forgotten_and_memory_is_bounded():
    sessions = Sessions(most_bytes=FILM.bytes + 1, quiet_seconds=0.0)
    session = sessions.begin()
    sessions.put(session, FILM, None)
    with pytest.raises(PageRefusal, match="no room"):
        sessions.put(session, FILM, None)
    sessions.sweep()
    with pytest.raises(PageRefusal, match="forgotten"):
        sessions.get(session.key)
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
