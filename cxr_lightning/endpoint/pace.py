"""How fast a server may be asked: so many requests and tokens a minute, and not at all while it says that it is busy.

Requests are spaced evenly: a server that counts by the second is content too.
"""

from __future__ import annotations

import threading
import time


class Pace:
    """Lets threads through one by one, as fast as a server allows.

    Args:
        requests: Requests a minute; None knows no limit.
        tokens: Tokens a minute, of questions and answers; None knows no limit.
    """

    def __init__(self, requests: float | None = None, tokens: float | None = None) -> None:
        self._a_request = 60 / requests if requests else 0.0
        self._a_token = 60 / tokens if tokens else 0.0
        self._moving, self._next, self._held = threading.Lock(), 0.0, 0.0

    def wait(self, tokens: float, closing: threading.Event) -> None:
        """Waits until one more request may leave.

        Args:
            tokens: What it may cost, asked and answered.
            closing: Ends the wait.
        """
        with self._moving:
            start = max(time.monotonic(), self._next)
            self._next = start + max(self._a_request, tokens * self._a_token)
        while not closing.is_set():
            left = max(start, self._held) - time.monotonic()
            if left <= 0:
                return
            closing.wait(left)

    def hold(self, seconds: float) -> None:
        """Lets nobody through for a while.

        Args:
            seconds: How long.
        """
        with self._moving:
            self._held = max(self._held, time.monotonic() + seconds)
