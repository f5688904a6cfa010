"""A real browser, the page served from this process, and files that visitors bring."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BUSY = "document.querySelector('.cxr.busy')"


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory) -> Path:
    """Where screenshots stay: CXR_ARTIFACTS, or pytest's folder."""
    folder = Path(os.environ.get("CXR_ARTIFACTS") or tmp_path_factory.mktemp("artefacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def dicom(phantoms: Path) -> bytes:
    """A drawn radiograph as a detector would store it: 12 bits, a negative, with a window and a patient."""
    pytest.importorskip("pydicom")
    from cxr_lightning.shards.images import load_gray
    from tests.shards.test_dicom import dicom as write

    gray = load_gray(next((phantoms / "images").glob("*0.png")))
    values = (4095 - np.kron(gray.astype(np.uint16), np.ones((8, 8), np.uint16)) * 16).astype(np.uint16)
    return write(
        values, PhotometricInterpretation="MONOCHROME1", Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA",
        WindowCenter=2048, WindowWidth=4000, PatientID="MRN-4711",
    )  # fmt: skip


def huge_png(side: int = 60_000) -> bytes:
    """A PNG whose header announces far more than there is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def png(gray: Any) -> bytes:
    """A PNG of gray levels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session", autouse=True)
def quiet_gradio(tmp_path_factory) -> None:
    """Sets Gradio's switches as the verb does, before anything imports it."""
    from cxr_lightning.serve.web.verb import _quiet_gradio

    _quiet_gradio(str(tmp_path_factory.mktemp("gradio")))


@contextlib.contextmanager
def served(responder: Any, **more: Any) -> Iterator[str]:
    """Serves the page from this process; yields its URL."""
    import uvicorn

    from cxr_lightning.serve.web.login import Login
    from cxr_lightning.serve.web.page import Desk
    from cxr_lightning.serve.web.server import application
    from cxr_lightning.serve.web.sessions import Sessions
    from cxr_lightning.serve.web.turnstile import Turnstile

    desk = Desk(responder, "on this page's own machine", Sessions(), Turnstile(1), 24, False)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(desk, login=Login({}), **more), log_level="warning", timeout_graceful_shutdown=1, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    await_true(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def await_true(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Waits until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


class Visitor:
    """A person at the page.

    Args:
        browser: Their browser.
        url: Where the page is.
    """

    def __init__(self, browser: Any, url: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.foreign: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", self._look)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(url)

    def _look(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.foreign.append(request.url)

    def ready(self) -> Visitor:
        self.page.wait_for_selector(".cxr.ready")
        return self

    def bring(self, *files: tuple[str, bytes], films: int | None = None) -> None:
        """Chooses files, and waits until so many films are shown."""
        self.page.set_input_files(
            "[data-files]", [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
        )
        shown = len(files) if films is None else films
        self.page.wait_for_function(
            f"document.querySelectorAll('.pane canvas').length == {shown} && !document.querySelector('.loading')"
        )

    def ask(self, question: str, *, wait: bool = True) -> str:
        """Asks, and returns the answer once it is whole."""
        before = self.page.locator("article").count()
        self.page.fill("#cxr-question", question)
        self.page.keyboard.press("Enter")
        self.page.wait_for_function(f"document.querySelectorAll('article').length == {before + 1}")
        return self.answer() if wait else ""

    def answer(self) -> str:
        """Waits until nothing is being written, and returns the last answer."""
        self.page.wait_for_function(f"!{BUSY}")
        return self.page.locator("article .answer").last.text_content()


@pytest.fixture
def visit(browser) -> Iterator[Callable[[str], Visitor]]:
    """Opens pages for visitors; each has a browser profile of its own."""
    visitors: list[Visitor] = []

    def come(url: str) -> Visitor:
        visitors.append(Visitor(browser, url))
        return visitors[-1].ready()

    yield come
    for visitor in visitors:
        assert visitor.foreign == []
        assert visitor.wrong == []
        visitor.context.close()
