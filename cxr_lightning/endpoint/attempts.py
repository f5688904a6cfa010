"""A request is made again while its failure may pass, later each time; after silence once, that is the longest wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from cxr_lightning.endpoint import client
from cxr_lightning.endpoint.trouble import passing, silent

T = TypeVar("T")
log = logging.getLogger(__name__)

TRIES = 7
"""Attempts at a request: half a minute all together, in which a server can restart."""


def tried(
    request: Callable[[], T],
    *,
    shown: str,
    tries: int,
    closing: threading.Event,
    pause: Callable[[Exception, int], float],
    passes: Callable[[Exception], bool] = passing,
) -> T:
    """Makes a request, several times if it must.

    Args:
        request: Makes it once.
        shown: The server, as it may be shown.
        tries: Attempts.
        closing: Ends the wait between them, and all further ones.
        pause: How long to wait after a failure, of which it is which.
        passes: Which failures may pass by themselves.

    Raises:
        Exception: The last failure, as it came.
    """
    silences = 0
    for failures in range(1, tries + 1):
        try:
            return request()
        except Exception as error:
            silences += silent(error)
            if failures == tries or silences > 1 or closing.is_set() or not passes(error):
                raise
            if silent(error):
                log.warning("%s was silent for %.0f s; asking once more.", shown, client.ANSWER_SECONDS)
            closing.wait(pause(error, failures))
    raise AssertionError
