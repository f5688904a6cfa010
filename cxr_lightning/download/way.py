"""The way in: our own client first, and Wget where a server asks only programs that it knows for a password."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import NotLetInError
from cxr_lightning.download.web import Server, Web
from cxr_lightning.download.wget import Wget
from cxr_lightning.site import is_loopback

log = logging.getLogger(__name__)


class Way:
    """Brings files by whatever the server lets in; safe in threads.

    Args:
        server: Where files come from.
        stop: Set when all shall end.
    """

    def __init__(self, server: Server, stop: threading.Event) -> None:
        self._server, self._stop = server, stop
        self._web = Web(server, stop)
        self._wget: Wget | None = None
        self._lock = threading.Lock()

    def carry(self, url: str, partial: Partial, told: Callable[[int], None]) -> None:
        """Brings the rest of a file.

        Args:
            url: Its address.
            partial: What came so far.
            told: Called with each number of bytes that came.
        """
        if self._wget is None:
            try:
                self._web.carry(url, partial, told)
                return
            except NotLetInError as refused:
                self._turn_to_wget(refused)
        if self._wget is not None:
            self._wget.carry(url, partial, told)

    def close(self) -> None:
        """Ends all connections and forgets the password."""
        self._web.close()
        if self._wget is not None:
            self._wget.close()

    def _turn_to_wget(self, refused: NotLetInError) -> None:
        """Goes by Wget from now on, if that may help, or raises the refusal again."""
        unasked = refused.status == 403 and not refused.asked and self._server.cookies is None
        parts = urlsplit(self._server.address)
        private = parts.scheme == "https" or is_loopback(parts.hostname or "")
        if not (unasked and private and Wget.is_here()):
            raise refused
        with self._lock:
            if self._wget is None:
                self._wget = Wget(self._server.address, self._stop, self._server.timeout)
                log.info(
                    "The server asks only programs that it knows for a password: going by Wget, which it may know."
                )
