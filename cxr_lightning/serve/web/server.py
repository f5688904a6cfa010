"""A desk enters, an application to serve leaves: Gradio's page, the films' paths, and the gate before both.

Gradio is imported here and in `page.py` only, after its switches are set: it reads them once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from cxr_lightning.serve.web.gate import Gate
from cxr_lightning.serve.web.login import Login
from cxr_lightning.serve.web.page import Desk, build, text
from cxr_lightning.serve.web.uploads import routes

_SWEEP_SECONDS = 30.0
_FONTS = ("Inter", "Segoe UI", "system-ui", "Helvetica Neue", "Liberation Sans", "sans-serif")


def application(desk: Desk, *, login: Login, root_path: str = "", loopback: bool = True) -> ASGIApp:
    """Puts the page together.

    Args:
        desk: What it works with.
        login: Who may come in.
        root_path: What a proxy has before the page's paths, such as /cxr.
        loopback: Answer only requests that name this machine localhost.
    """

    @contextlib.asynccontextmanager
    async def sweeping(_: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                desk.sessions.sweep()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=sweeping)
    app.include_router(routes(desk.sessions))
    app.add_exception_handler(ValueError, _refused)
    # Names of fonts, not Gradio's own choice, which it fetches from elsewhere.
    theme = gr.themes.Base(font=_FONTS, font_mono=("ui-monospace", "Liberation Mono", "monospace"))
    gr.mount_gradio_app(
        app,
        build(desk),
        path="/",
        root_path=root_path or None,
        theme=theme,
        css=text("style.css"),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return Gate(app, login=login, root_path=root_path, loopback=loopback)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"why": str(error)}, status_code=422)
