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
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cxr_lightning.serve.dialogue import QUESTION, Responder
from cxr_lightning.serve.web.conversation import Exchange
from cxr_lightning.serve.web.session import FORGOTTEN, PageRefusal, Session, Sessions
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
        exchanges = session.conversation.shown()
        return {"key": session.key, "phase": session.phase, "exchanges": exchanges, "refused": refused, "ahead": ahead}

    async def ask(self, key: str, asked: Mapping[str, Any], *, again: bool) -> AsyncIterator[dict[str, Any]]:
        """Asks, and yields what the page shows while the answer is written.

        Args:
            key: The session's.
            asked: `question`, and whether the model is shown the `lateral` film.
            again: Ask the last question again instead.
        """
        session = self.sessions.find(key)
        if session is None:
            yield GONE
            return
        try:
            exchange = session.ask(str(asked.get("question", "")), lateral=bool(asked.get("lateral")), again=again)
        except PageRefusal as error:
            yield self.shown(session, refused=str(error))
            return
        stop = session.stop
        writer = threading.Thread(target=self._write, args=(session, exchange), daemon=True, name="answer")
        writer.start()
        try:
            before: tuple[Any, ...] = ()
            while writer.is_alive():
                ahead = self.turnstile.ahead(exchange)
                now = (exchange.answer, session.phase, ahead)
                if now != before:
                    yield self.shown(session, ahead=ahead)
                before = now
                await asyncio.sleep(_LOOK_SECONDS)
            yield self.shown(session)
        finally:  # also when the browser is gone in the middle
            stop.set()

    def stop(self, key: str) -> None:
        """Ends the answer that is being written.

        Args:
            key: The session's.
        """
        session = self.sessions.find(key)
        if session is not None:
            session.stop.set()

    def clear(self, key: str) -> dict[str, Any]:
        """Forgets films and conversation, and returns what the page shows then.

        Args:
            key: The session's.
        """
        session = self.sessions.find(key)
        if session is None:
            return GONE
        session.clear()
        return self.shown(session)

    def _write(self, session: Session, exchange: Exchange) -> None:
        session.answer(exchange, self.responder, self.turnstile, max_new_tokens=self.max_new_tokens)


def build(desk: Desk) -> gr.Blocks:
    """Builds the page.

    Args:
        desk: What it works with.
    """

    def begin(request: gr.Request) -> tuple[str, dict[str, Any]]:
        session = desk.sessions.begin()
        tabs[str(request.session_hash)] = session.key
        return session.key, desk.shown(session)

    async def ask(event: gr.EventData, key: str) -> AsyncIterator[dict[str, Any]]:
        async for shown in desk.ask(key, event._data, again=False):
            yield shown

    async def again(event: gr.EventData, key: str) -> AsyncIterator[dict[str, Any]]:
        async for shown in desk.ask(key, event._data, again=True):
            yield shown

    def end(request: gr.Request) -> None:
        desk.sessions.end(tabs.pop(str(request.session_hash), ""))

    tabs: dict[str, str] = {}  # Gradio's name of an open page: the key of its session
    own = {"model": desk.responder.name, "where": desk.where, "suggested": list(SUGGESTED), "login": desk.login}
    own["lateral"] = desk.lateral
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
        blocks.load(begin, None, [key, page], **private)
        page.ask(ask, key, page, concurrency_limit=None, **private)
        page.again(again, key, page, concurrency_limit=None, **private)
        page.stop(desk.stop, key, None, concurrency_limit=None, **private)
        page.clear(desk.clear, key, page, concurrency_limit=None, **private)
        blocks.unload(end)
    return blocks


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
