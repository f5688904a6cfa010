"""`cxr web`: a page for radiologists in front of an exported model or of a server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from cxr_lightning.serve.dialogue import Responder
from cxr_lightning.serve.opening import is_url, open_responder
from cxr_lightning.serve.web.login import VARIABLE, Login, read_login
from cxr_lightning.serve.web.sessions import Sessions
from cxr_lightning.serve.web.turnstile import Turnstile
from cxr_lightning.site import is_loopback

_FEW = 4
"""Questions that a server is asked at once, when not said: it batches them itself."""

_TRIES = 3


class WebError(ValueError):
    """The page cannot be opened to others, or on this port, as asked."""


def web(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: Path | None = None,
    open_to_all: bool = False,
    root_path: str = "",
    device: str | None = None,
    served_model: str | None = None,
    max_new_tokens: int = 256,
    at_once: int | None = None,
    lateral: bool = False,
    image_size: int | None = None,
) -> None:
    """Open a page where a radiologist looks at films and asks a model about them.

    The answers are a language model's, not a radiologist's: for research, not for care. Films are held in memory and
    forgotten when the page is closed; nothing is sent anywhere but to the model.

    Args:
        model: Folder that `cxr export` wrote, or the URL of a server that speaks OpenAI's protocol.
        host: Address to answer at; any but this machine's own loopback needs `--auth`.
        port: Port to answer at; 0 takes any that is free.
        auth: File with a line user:password each, readable by you alone; or set CXR_WEB_AUTH to one such line.
        open_to_all: Let everybody in who can reach `--host`.
        root_path: What a reverse proxy has before the page's paths, such as /cxr.
        device: Where a folder's model computes, such as cpu or cuda; by default a GPU if there is one.
        served_model: Which of a server's models; by default its only one. A key it asks for is taken from CXR_API_KEY.
        max_new_tokens: Longest answer in tokens.
        at_once: Questions answered at the same time; by default 1 of a folder and 4 of a server. Others wait in line.
        lateral: Show the model lateral films too, for one that was taught pairs; visitors can change it. One that was
            taught a single film an answer, as `cxr pack` teaches, is misled by a second.
        image_size: Longest side in pixels of the films that a server is sent, best what its model learned from; by
            default they are sent whole. A folder knows it by itself.
    """
    login = read_login(auth)
    _refuse_strangers(host, port, login, open_to_all=open_to_all)
    _refuse_nonsense(model, root_path, image_size)
    root_path = root_path.rstrip("/")
    # The port before the model, which takes long to load.
    with _listen(host, port) as listener, tempfile.TemporaryDirectory(prefix="cxr-web-") as private:
        signal.signal(signal.SIGTERM, _leave)  # which would else kill at once, and leave the folder
        _quiet_gradio(private)
        # Someone waits: a server that is gone is said within seconds, and asking again is a button.
        responder = open_responder(model, device=device, served_model=served_model, image_size=image_size, tries=_TRIES)
        try:
            places = at_once or (_FEW if is_url(model) else 1)
            where = _shown(model) if is_url(model) else "on this page's own machine"
            # Behind a proxy it has another name; then a login's cookie, bound to that name, keeps other pages out.
            local = is_loopback(host) and not (root_path or login)
            app = _page(
                responder, where, places, max_new_tokens,
                login=login, root_path=root_path, lateral=lateral, loopback=local,
            )  # fmt: skip
            _tell(listener, host, root_path, login)
            _serve(app, listener)
        finally:
            responder.close()


def _refuse_nonsense(model: str, root_path: str, image_size: int | None) -> None:
    if root_path and not root_path.startswith("/"):
        raise WebError(f"--root_path {root_path} is no path. Remedy: begin it with /, such as /cxr.")
    if image_size is not None and (image_size < 1 or not is_url(model)):
        raise WebError(
            f"--image_size {image_size} is for a server's films, in pixels. Remedy: leave it out for a folder, which "
            "knows what its model learned from."
        )


def _refuse_strangers(host: str, port: int, login: Login, *, open_to_all: bool) -> None:
    if is_loopback(host) or login or open_to_all:
        return
    raise WebError(
        f"--host {host} can be reached by others, and nobody would be asked who they are. Remedy: --auth FILE with a "
        f"line user:password (or {VARIABLE}), or --open_to_all true. "
        f"From your own desk, ssh -L {port}:localhost:{port} needs neither."
    )


def _page(
    responder: Responder, where: str, places: int, max_new_tokens: int, *, login: Login, root_path: str, lateral: bool,
    loopback: bool,
) -> Any:  # fmt: skip
    """Imports the page, and Gradio with it, now that its switches are set."""
    try:
        from cxr_lightning.serve.web.page import Desk
        from cxr_lightning.serve.web.server import application
    except ImportError as error:
        raise WebError(f"the page needs {error.name}. Remedy: pip install 'cxr-lightning[web]'") from None
    desk = Desk(responder, where, Sessions(), Turnstile(places), max_new_tokens, bool(login), lateral)
    return application(desk, login=login, root_path=root_path, loopback=loopback)


def _shown(url: str) -> str:
    """Returns where a server is, without what may stand in a URL and is nobody's business."""
    parts = urlsplit(url)
    return f"at {parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        told = getattr(error, "strerror", None) or "ports go from 0 to 65535"
        raise WebError(
            f"The page cannot answer at {host}, port {port}: {told}. Remedy: --port 0 takes any that is free."
        ) from None
    return listener


def _quiet_gradio(private: str) -> None:
    """Sets Gradio's switches: no statistics, no history, and a folder of our own, should it ever write a file."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=private,
        GRADIO_RUN_HISTORY="False",
        GRADIO_SHARE="False",
        GRADIO_MCP_SERVER="False",
        GRADIO_SSR_MODE="False",
        HF_HUB_DISABLE_TELEMETRY="1",
    )


def _tell(listener: socket.socket, host: str, root_path: str, login: Login) -> None:
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    asked = "Visitors sign in." if login else "Nobody is asked to sign in."
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"The page is at http://{shown}:{port}{root_path}/ . {asked} Ctrl-C ends it, and forgets all films."
    )


def _serve(app: Any, listener: socket.socket) -> None:
    """Serves until a signal."""
    import uvicorn

    # No log of requests: nobody's business, and nothing to keep.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="on")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
