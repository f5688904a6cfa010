"""All sessions: each found by its key and under its own login, ended when it was quiet for too long.

Memory that films take is bounded for all of them together: counted and taken in one step, or two visitors would both be
given the last of it.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterator

from cxr_lightning.serve.web.film import Film, Place
from cxr_lightning.serve.web.session import FORGOTTEN, PageRefusal, Session

QUIET_SECONDS = 3600.0
"""A session that nothing was heard of for so long ends."""
MOST_BYTES = 4 << 30
"""Memory that the films of all sessions may take together."""


class Sessions:
    """All sessions.

    Args:
        most_bytes: Memory that all films may take together.
        quiet_seconds: When a session that nothing is heard of ends.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._all: dict[str, Session] = {}
        self._most_bytes, self._quiet_seconds = most_bytes, quiet_seconds
        self._lock = threading.Lock()

    def begin(self, owner: str = "") -> Session:
        """Begins a session.

        Args:
            owner: The login that it belongs to.
        """
        session = Session(owner=owner)
        with self._lock:
            self._all[session.key] = session
        return session

    def sweep(self) -> None:
        """Ends the sessions that were quiet for too long."""
        for session in self:
            if session.phase == "idle" and time.monotonic() - session.seen > self._quiet_seconds:
                self.end(session.key, session.owner)

    def find(self, key: str, owner: str = "") -> Session | None:
        """Returns the session of a key, of which something was heard now; None if there is none, or no longer.

        Args:
            key: The session's.
            owner: The login of who asks; another's key opens nothing.
        """
        with self._lock:
            session = self._all.get(key)
        if session is None or not hmac.compare_digest(session.owner, owner):
            return None
        session.seen = time.monotonic()
        return session

    def get(self, key: str, owner: str = "") -> Session:
        """Returns the session of a key.

        Args:
            key: The session's.
            owner: The login of who asks.

        Raises:
            PageRefusal: There is none, or no longer.
        """
        session = self.find(key, owner)
        if session is None:
            raise PageRefusal(FORGOTTEN)
        return session

    def __iter__(self) -> Iterator[Session]:
        with self._lock:
            return iter(list(self._all.values()))

    def end(self, key: str, owner: str = "") -> None:
        """Forgets a session and all it held.

        Args:
            key: The session's.
            owner: The login of who asks.
        """
        session = self.find(key, owner)
        if session is not None:
            with self._lock:
                self._all.pop(key, None)
            session.end()

    def put(self, session: Session, film: Film, wish: Place | None, study: int | None = None) -> Place:
        """Gives a film to a session, if memory has room for it.

        Args:
            session: Whose it is.
            film: The film.
            wish: Where it was dropped.
            study: The study that it was brought for.

        Raises:
            PageRefusal: There is no room, or the session does not take it.
        """
        with self._lock:
            held = sum(each.bytes for one in self._all.values() for each in list(one.films.values()))
            if held + film.bytes > self._most_bytes:
                raise PageRefusal(
                    "Others have many films open, and there is no room for this one now. Try in a few minutes."
                )
            return session.put(film, wish, study)
