"""The paths that films take: up from the page as they are, and down to its viewer at full depth; never over a disk.

Not Gradio's own upload: it writes files under the names they came with, and names hold patients. Here a body is read
into memory, of which all bodies together get a bounded part, and what a file is called stays in the browser. Who is
asking is told by the session's key, in a header that no link and no log carries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from cxr_lightning.serve.web.film import PLACES, Film, Place, read_film
from cxr_lightning.serve.web.gate import owner_of
from cxr_lightning.serve.web.session import PageRefusal, Session
from cxr_lightning.serve.web.sessions import Sessions
from cxr_lightning.shards.dicom import other_than_chest

MOST_BYTES = 256 << 20
"""The largest file taken."""
ALL_BYTES = 1 << 30
"""Memory that all files may take together, from the first byte until they are decoded."""
_SECONDS = 300.0
"""A file that takes longer to come holds memory that others wait for."""
_AT_ONCE = 2
"""Films decoded at the same time, each of which may take a gigabyte while it is; also files a session may send."""


class Intake:
    """Files on their way in, of which all together take a bounded part of memory.

    Args:
        most_bytes: How much.
    """

    def __init__(self, most_bytes: int = ALL_BYTES) -> None:
        self._left = most_bytes
        self._coming: Counter[str] = Counter()

    @contextlib.contextmanager
    def body(self, session: Session) -> Iterator[Body]:
        """Makes room for a file, and gives it back in the end.

        Args:
            session: Who sends it.

        Raises:
            PageRefusal: This one sends two already.
        """
        if self._coming[session.key] >= _AT_ONCE:
            raise PageRefusal("Two films are on their way already. Wait for them.")
        self._coming[session.key] += 1
        body = Body(self)
        try:
            yield body
        finally:
            self._left += body.held
            self._coming[session.key] -= 1
            self._coming += Counter()  # leaves out those at zero

    def take(self, count: int) -> None:
        """Takes memory.

        Raises:
            PageRefusal: There is none left.
        """
        if count > self._left:
            raise PageRefusal("Others are opening large films, and there is no room now. Try in a few minutes.")
        self._left -= count


class Body:
    """A file as it comes.

    Args:
        intake: Where its memory is counted.

    Attributes:
        held: Bytes so far.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake, self.held = intake, 0
        self._parts: list[bytes] = []

    async def read(self, request: Request) -> None:
        """Reads it, and no further than the largest that is taken.

        Raises:
            PageRefusal: It is too large or too slow, or memory is full.
        """
        try:
            async with asyncio.timeout(_SECONDS):
                async for part in request.stream():
                    if self.held + len(part) > MOST_BYTES:
                        raise PageRefusal(
                            f"The file has more than {MOST_BYTES >> 20} MB, which no single radiograph has."
                        )
                    self._intake.take(len(part))
                    self.held += len(part)
                    self._parts.append(part)
        except TimeoutError:
            raise PageRefusal("The file took too long to come. Try again.") from None
        except ClientDisconnect:  # which nobody reads
            raise PageRefusal("The file did not come whole.") from None

    def whole(self) -> bytes:
        """Returns the file; its parts are let go."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def routes(sessions: Sessions) -> APIRouter:
    """Returns the paths under `films`.

    Args:
        sessions: Whose films they are.
    """
    router = APIRouter(prefix="/films")
    decoding, intake = asyncio.Semaphore(_AT_ONCE), Intake()

    def own(request: Request) -> Session:
        return sessions.get(_key(request), owner_of(request.scope))

    @router.post("")
    async def put(request: Request, place: str = "", study: int = 0, any_body_part: bool = False) -> Any:
        session = own(request)
        with intake.body(session) as body:
            await body.read(request)
            async with decoding:
                film = await asyncio.to_thread(_film, body.whole(), any_body_part)
        if isinstance(film, str):  # the page offers to open it all the same
            return JSONResponse({"why": film, "other": True}, status_code=422)
        return {"put": sessions.put(session, film, _place(place), study), **_films(session)}

    @router.post("/swap")
    async def swap(request: Request) -> dict[str, Any]:
        session = own(request)
        session.swap()
        return _films(session)

    @router.post("/end")
    async def end(request: Request) -> Response:
        sessions.end(_key(request), owner_of(request.scope))
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


def _film(data: bytes, any_body_part: bool) -> Film | str:
    """Returns a film, or what its file shows where it says that it shows no chest."""
    return (None if any_body_part else other_than_chest(data)) or read_film(data, any_body_part=True)


def _place(name: str) -> Place | None:
    return next((each for each in PLACES if each == name), None)


def _key(request: Request) -> str:
    return request.headers.get("x-cxr-key", "")


def _films(session: Session) -> dict[str, Any]:
    return {"films": {place: film.described() for place, film in session.films.items()}}
