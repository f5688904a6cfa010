"""Files on their way in take a bounded part of memory, and give it back whatever becomes of them."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from cxr_lightning.serve.web import uploads
from cxr_lightning.serve.web.server import _refused
from cxr_lightning.serve.web.session import PageRefusal, Session
from cxr_lightning.serve.web.sessions import Sessions

pytestmark = pytest.mark.quick


def test_memory_of_all_bodies_is_bounded_and_given_back():
    intake = uploads.Intake(10)
    one, other = Session(), Session()
    with intake.body(one) as body:
        intake.take(8)
        body.held = 8
        with intake.body(other), pytest.raises(PageRefusal, match="no room"):
            intake.take(8)
        with intake.body(one), pytest.raises(PageRefusal, match="on their way"), intake.body(one):
            pass
    intake.take(10)


def test_a_body_is_read_no_further_than_the_largest_file(monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    sessions, read = Sessions(), list[int]()
    app = FastAPI()
    app.include_router(uploads.routes(sessions))
    app.add_exception_handler(ValueError, _refused)

    async def much():
        for _ in range(100):
            read.append(100)
            yield b"x" * 100

    async def visit() -> httpx.Response:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        return await http.post("/films", content=much(), headers={"x-cxr-key": sessions.begin().key})

    told = asyncio.run(visit())
    assert told.status_code == 422
    assert "which no single radiograph has" in told.json()["why"]
    assert sum(read) <= 1200
