"""Every request enters here first; what the page does not need, or who is not let in, goes no further.

Gradio serves many paths: uploads, files, proxies, an API. The page uses a few, and only those are open, with short
bodies, and each open page to the login alone that opened it. Each answer forbids the browser to load anything from
elsewhere, to keep what it got, and to show the page inside another.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import re
import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cxr_lightning.serve.web.login import Login
from cxr_lightning.serve.web.patience import Patience

_OPEN = re.compile(
    r"/|/(theme\.css|favicon\.ico|manifest\.json|config|(assets|static|svelte)/.*)"
    r"|/films(/\w+)?"
    r"|/gradio_api/(info|startup-events|app_id|heartbeat/\w+|queue/(join|data)|cancel|reset|theme\.css)"
)
_KEPT = re.compile(r"/(assets|static|svelte)/")
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_GRADIO = "/gradio_api/"
_HEARTBEAT = "/gradio_api/heartbeat/"
_OWNER = "cxr.owner"
_WRONG_SECONDS = 1.0
"""A wrong password costs so long, one after the other under a name from an address: guessing is slow."""
_LONGEST_FORM = 4096
_LONGEST_BODY = 1 << 17
"""Of what the page sends to Gradio; its longest question has less."""
_BODY_SECONDS = 30.0
_MOST_TABS = 10_000


class Gate:
    """Wraps an application.

    Args:
        app: What is behind it.
        login: Who may come in.
        root_path: What a proxy has before the page's paths, such as /cxr.
        loopback: Refuse requests made under another name than this machine's own: without it, any page in the same
            browser could have its own name point here, and read films.
    """

    def __init__(self, app: ASGIApp, *, login: Login, root_path: str, loopback: bool) -> None:
        self._app, self._login, self._root, self._loopback = app, login, root_path, loopback
        self._cookie = f"cxr-web-{secrets.token_hex(4)}"  # cookies know no ports: two pages of a machine keep apart
        self._patience = Patience()
        self._tabs: dict[str, str] = {}  # Gradio's name of an open page: who opened it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # the page has no sockets
                await send({"type": "websocket.close", "code": 1008})
            return
        path = scope["path"].removeprefix(self._root) or "/"  # proxies leave the prefix, or take it away
        scope = {**scope, "path": path, "raw_path": path.encode()}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _write_headers(MutableHeaders(scope=message), path)
            await send(message)

        request = Request(scope, receive)
        answer = await self._answer(request, path)
        if answer is None:
            scope[_OWNER] = owner = self._token(request.headers) if self._login else ""
            if path.startswith(_GRADIO):
                answer, receive = await self._own(request, path, owner, receive)
        await (answer or self._app)(scope, receive, guarded)

    async def _own(self, request: Request, path: str, owner: str, receive: Receive) -> tuple[Response | None, Receive]:
        """Refuses long bodies, and another's open page; returns the body to be read again."""
        body = b""
        if request.method == "POST":
            read = await _read(request, _LONGEST_BODY)
            if read is None:
                return PlainTextResponse("Too long.", 413), receive
            body, receive = read, _again(read, receive)
        tab = _tab(path, request, body)
        if not tab or not self._login:
            return None, receive
        if tab not in self._tabs and len(self._tabs) >= _MOST_TABS:
            self._tabs.pop(next(iter(self._tabs)))  # the oldest
        if self._tabs.setdefault(tab, owner) != owner:
            return PlainTextResponse("This page is another's.", 403), receive
        return None, receive

    async def _answer(self, request: Request, path: str) -> Response | None:
        """Returns what is said here, or None for what may pass."""
        if self._loopback and not _LOOPBACK.fullmatch(request.headers.get("host", "")):
            return PlainTextResponse("This page answers under localhost alone.", 421)
        if self._login:
            if path == "/login":
                return await self._enter(request)
            if not self._login.is_in(self._token(request.headers)):
                if path == "/" and request.method == "GET":
                    return RedirectResponse(f"{self._root}/login", 303)
                return PlainTextResponse("Sign in first.", 401)
            if path == "/logout":
                return self._leave(request)
        return None if _OPEN.fullmatch(path) else PlainTextResponse("There is nothing here.", 404)

    async def _enter(self, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(_form(""))
        body = await _read(request, _LONGEST_FORM)
        if body is None:
            return PlainTextResponse("Too long.", 413)
        fields = parse_qs(body.decode(errors="replace"))
        name, password = (fields.get(field, [""])[0] for field in ("name", "password"))
        async with self._patience.turn(name, request.client.host if request.client else "") as mine:
            if not mine:
                return HTMLResponse(_form("Many are trying this name from here. Try again in a few seconds."), 429)
            # In the line: else many could be tried at once, and the right one told by its haste.
            token = self._login.enter(name, password)
            if token is None:
                await asyncio.sleep(_WRONG_SECONDS)
        if token is None:
            return HTMLResponse(_form("Name and password do not go together. Try again."), 401)
        answer = RedirectResponse(f"{self._root}/", 303)
        secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").startswith("https")
        answer.set_cookie(self._cookie, token, path=f"{self._root}/", secure=secure, httponly=True, samesite="strict")
        return answer

    def _leave(self, request: Request) -> Response:
        self._login.leave(self._token(request.headers))
        answer = RedirectResponse(f"{self._root}/login", 303)
        answer.delete_cookie(self._cookie, path=f"{self._root}/")
        return answer

    def _token(self, headers: Headers) -> str:
        found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        return found.value if found else ""


def owner_of(scope: Mapping[str, Any]) -> str:
    """Returns the login that a request was let in under; empty where nobody signs in.

    Args:
        scope: The request's, from behind the gate.
    """
    return str(scope.get(_OWNER, ""))


async def _read(request: Request, most_bytes: int) -> bytes | None:
    """Reads a body; None if it is too long, or too long in coming."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most_bytes:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Returns what gives a body that was read once more, and then whatever else comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again


def _tab(path: str, request: Request, body: bytes) -> str:
    """Returns Gradio's name of the open page that a request is about, if it is about one."""
    if path.startswith(_HEARTBEAT):
        return path.removeprefix(_HEARTBEAT)
    if not body:
        return request.query_params.get("session_hash", "")
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("session_hash") or "") if isinstance(told, dict) else ""


def _write_headers(headers: MutableHeaders, path: str) -> None:
    headers["Content-Security-Policy"] = _POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    if not _KEPT.match(path):
        headers["Cache-Control"] = "no-store"


def _form(wrong: str) -> str:
    page = importlib.resources.files(__package__).joinpath("login.html").read_text()
    style = importlib.resources.files(__package__).joinpath("style.css").read_text()
    return page.replace("/* style */", style).replace("<!-- wrong -->", wrong)
