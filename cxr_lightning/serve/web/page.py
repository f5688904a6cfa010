"""The page as Gradio knows it: one component that is the whole desk, and what its buttons do.

Gradio keeps the sessions, the queue and the stream of answers. What is seen is our own markup, style and script
(`desk.html`, `style.css`, and scripts in `film.html`, `viewer.html` and `talk.html`), since a film wants a viewer that
its components do not have.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from cxr_lightning.serve.dialogue import QUESTION, Responder
from cxr_lightning.serve.web.gate import owner_of
from cxr_lightning.serve.web.session import FORGOTTEN, Asked, PageRefusal, Session
from cxr_lightning.serve.web.sessions import Sessions
from cxr_lightning.serve.web.turnstile import Turnstile

SUGGESTED = (
    QUESTION,
    "Is there a left pneumothorax?",
    "Is there a right pleural effusion?",
    "Is there cardiomegaly?",
    "Is there a central venous line?",
)
"""Asked in the words that models are tuned on (`reports/questions.py`)."""
_SCRIPTS = ("film.html", "viewer.html", "talk.html")
_LOOK_SECONDS = 0.05
"""How often an answer being written is looked at; nobody reads faster."""

GONE = {"refused": FORGOTTEN, "phase": "gone"}


@dataclass(frozen=True)
class Desk:
    """What the page works with.

    Attributes:
        responder: Who answers.
        where: Where the model runs, for the reader.
        sessions: The visitors.
        turnstile: The queue before the model.
        max_new_tokens: Longest answer.
        login: Whether visitors sign in, and can sign out.
        lateral: Whether the model is shown lateral films when the visitor says nothing else.
    """

    responder: Responder
    where: str
    sessions: Sessions
    turnstile: Turnstile
    max_new_tokens: int
    login: bool
    lateral: bool = False

    def shown(self, session: Session, *, refused: str = "", ahead: int = 0) -> dict[str, Any]:
        """Returns what the page shows of a session.

        Args:
            session: The session.
            refused: Why what was asked for is not done.
            ahead: How many wait before it.
        """
        numbers = {"study": session.study, "number": session.number, "ahead": ahead}
        exchanges = session.conversation.shown()
        return {"key": session.key, "phase": session.phase, "exchanges": exchanges, "refused": refused, **numbers}

    async def ask(self, session: Session, told: Mapping[str, Any], *, again: bool) -> AsyncIterator[dict[str, Any]]:
        """Asks, and yields what the page shows while the answer is written.

        Args:
            session: Who asks.
            told: `question`, whether the model is shown the `lateral` film, the question's `number` and the `study`'s.
            again: Ask the last question again instead.
        """
        numbers = {name: _number(told, name) for name in ("number", "study")}
        try:
            asked = session.ask(
                str(told.get("question", "")), lateral=bool(told.get("lateral")), again=again, **numbers
            )
        except PageRefusal as error:
            yield self.shown(session, refused=str(error))
            return
        writer = threading.Thread(target=self._write, args=(session, asked), daemon=True, name="answer")
        writer.start()
        try:
            before: tuple[Any, ...] = ()
            while writer.is_alive():
                ahead = self.turnstile.ahead(asked)
                now = (asked.exchange.answer, asked.phase, ahead)
                if now != before:
                    yield self.shown(session, ahead=ahead)
                before = now
                await asyncio.sleep(_LOOK_SECONDS)
            yield self.shown(session)
        finally:  # also when the browser is gone in the middle
            asked.stop.set()

    def _write(self, session: Session, asked: Asked) -> None:
        session.answer(asked, self.responder, self.turnstile, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True)
class Acts:
    """What the page's buttons do. Whose page it is, Gradio tells by the request and by the key that it keeps.

    Attributes:
        desk: What they work with.
        tabs: Gradio's name of an open page: the key of its session.
    """

    desk: Desk
    tabs: dict[str, str] = field(default_factory=dict)

    def begin(self, request: gr.Request) -> tuple[str, dict[str, Any]]:
        """Begins a session."""
        session = self.desk.sessions.begin(_owner(request))
        self.tabs[str(request.session_hash)] = session.key
        return session.key, self.desk.shown(session)

    async def ask(self, request: gr.Request, event: gr.EventData, key: str) -> AsyncIterator[dict[str, Any]]:
        """Asks a question."""
        async for shown in self._asked(request, event, key, again=False):
            yield shown

    async def again(self, request: gr.Request, event: gr.EventData, key: str) -> AsyncIterator[dict[str, Any]]:
        """Asks the last question again."""
        async for shown in self._asked(request, event, key, again=True):
            yield shown

    async def _asked(
        self, request: gr.Request, event: gr.EventData, key: str, *, again: bool
    ) -> AsyncIterator[dict[str, Any]]:
        session = self._session(request, key)
        if session is None:
            yield GONE
            return
        async for shown in self.desk.ask(session, _told(event), again=again):
            yield shown

    def stop(self, request: gr.Request, event: gr.EventData, key: str) -> None:
        """Ends the answer that is being written."""
        session = self._session(request, key)
        if session is not None:
            session.stop(_number(_told(event), "number"))

    def clear(self, request: gr.Request, event: gr.EventData, key: str) -> dict[str, Any]:
        """Forgets films and conversation."""
        session = self._session(request, key)
        if session is None:
            return GONE
        session.clear(_number(_told(event), "study"))
        return self.desk.shown(session)

    def end(self, request: gr.Request) -> None:
        """Forgets the session of a page that is closed."""
        self.desk.sessions.end(self.tabs.pop(str(request.session_hash), ""), _owner(request))

    def _session(self, request: gr.Request, key: str) -> Session | None:
        return self.desk.sessions.find(key, _owner(request))


def build(desk: Desk) -> gr.Blocks:
    """Builds the page.

    Args:
        desk: What it works with.
    """
    acts = Acts(desk)
    own = {"model": desk.responder.name, "where": desk.where, "suggested": list(SUGGESTED), "login": desk.login}
    own |= {"lateral": desk.lateral, "size": desk.responder.image_size}
    with gr.Blocks(title=f"{desk.responder.name} · cxr_lightning", analytics_enabled=False) as blocks:
        key = gr.State("")
        page = gr.HTML(
            html_template=text("desk.html"),
            head=_script(),
            js_on_load="cxrDesk(element, props, watch, trigger, ['ask', 'again', 'stop', 'clear']);",
            apply_default_css=False,
            elem_id="desk",
            own=own,
        )
        private = {"show_progress": "hidden", "api_visibility": "private"}
        blocks.load(acts.begin, None, [key, page], **private)
        page.ask(acts.ask, key, page, concurrency_limit=None, **private)
        page.again(acts.again, key, page, concurrency_limit=None, **private)
        page.stop(acts.stop, key, None, concurrency_limit=None, **private)
        page.clear(acts.clear, key, page, concurrency_limit=None, **private)
        blocks.unload(acts.end)
    return blocks


def _owner(request: gr.Request) -> str:
    return owner_of(request.request.scope) if request.request else ""


def _told(event: gr.EventData) -> dict[str, Any]:
    return event._data if isinstance(event._data, dict) else {}


def _number(told: Mapping[str, Any], name: str) -> int | None:
    """Returns a whole number that the page told, if it did."""
    number = told.get(name)
    return number if isinstance(number, int) else None


def _script() -> str:
    """Joins the scripts into one, in a scope of its own."""
    parts = (text(name).strip().removeprefix("<script>").removesuffix("</script>") for name in _SCRIPTS)
    return "<script>(() => {\n'use strict';\n" + "\n".join(parts) + "\n})();</script>"


def text(name: str) -> str:
    """Returns a file that lies beside this one.

    Args:
        name: The file's name.
    """
    return importlib.resources.files(__package__).joinpath(name).read_text()
