"""The paths that films take: up from the page as they are, and down to its viewer at full depth; never over a disk.

Not Gradio's own upload: it writes files under the names they came with, and names hold patients. Here a body is read
into memory, and what a file is called stays in the browser. Who is asking is told by the session's key, in a header
that no link and no log carries.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cxr_lightning.serve.web.film import PLACES, Place, read_film
from cxr_lightning.serve.web.session import PageRefusal, Session, Sessions

MOST_BYTES = 256 << 20
"""The largest file taken."""
_AT_ONCE = 2
"""Films decoded at the same time: each may take a gigabyte while it is."""


def routes(sessions: Sessions) -> APIRouter:
    """Returns the paths under `films`.

    Args:
        sessions: Whose films they are.
    """
    router = APIRouter(prefix="/films")
    decoding = asyncio.Semaphore(_AT_ONCE)

    def own(request: Request) -> Session:
        return sessions[request.headers.get("x-cxr-key", "")]

    @router.post("")
    async def put(request: Request, place: str = "") -> dict[str, Any]:
        session = own(request)
        data = await _body(request)
        async with decoding:
            film = await asyncio.to_thread(read_film, data)
        sessions.room_for(film)
        return {"put": session.put(film, next((each for each in PLACES if each == place), None)), **_films(session)}

    @router.post("/swap")
    async def swap(request: Request) -> dict[str, Any]:
        session = own(request)
        session.swap()
        return _films(session)

    @router.post("/end")
    async def end(request: Request) -> Response:
        sessions.end(request.headers.get("x-cxr-key", ""))
        return Response(status_code=204)

    @router.get("/alive")
    async def alive(request: Request) -> Response:
        own(request)
        return Response(status_code=204)

    @router.get("/{place}")
    async def values(request: Request, place: str) -> Response:
        film = own(request).films.get(cast(Place, place))
        if film is None:
            raise PageRefusal("That film is no longer here.")
        return Response(film.packed, media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})

    @router.delete("/{place}")
    async def remove(request: Request, place: str) -> dict[str, Any]:
        session = own(request)
        session.remove(cast(Place, place))
        return _films(session)

    return router


def _films(session: Session) -> dict[str, Any]:
    return {"films": {place: film.described() for place, film in session.films.items()}}


async def _body(request: Request) -> bytes:
    """Reads a file into memory, and no further than the largest that is taken."""
    parts: list[bytes] = []
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > MOST_BYTES:
            raise PageRefusal(f"The file has more than {MOST_BYTES >> 20} MB, which no single radiograph has.")
        parts.append(part)
    return b"".join(parts)
