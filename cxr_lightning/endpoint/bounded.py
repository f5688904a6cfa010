"""An answer is read for so long and so far: one that drips would never time out, for each drop is in time.

Httpx counts the seconds between two pieces of an answer; here they are counted for the whole of it, and its bytes too.
The openai package speaks through httpx or httpx2, whichever it finds, so their classes are found at what they made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.site import shown

MOST_BYTES = 16 << 20
"""Of an answer. One of 100,000 tokens has half a million."""
_PACKED = 64
"""Of a compressed answer, so many times fewer; we ask for none."""


def bound(response: Any, seconds: float) -> None:
    """Lets an answer be read only for so long and so far; a stream, which somebody watches, for as long as it takes.

    Args:
        response: Httpx's, whose body has not been read.
        seconds: From its first line to its last.

    Raises:
        ServerError: While it is read: it is longer than any answer.
    """
    packed = response.headers.get("content-encoding", "identity") != "identity"
    streams = response.headers.get("content-type", "").startswith("text/event-stream")
    until = float("inf") if streams else time.monotonic() + seconds
    where = shown(str(response.request.url))
    response.stream = _bounded(response.stream, MOST_BYTES // (_PACKED if packed else 1), until, where)


def _bounded(stream: Any, most: int, until: float, where: str) -> Any:
    base: Any = next(kind for kind in type(stream).__mro__ if kind.__name__ == "SyncByteStream")
    late = sys.modules[base.__module__.partition(".")[0]].ReadTimeout

    class Bounded(base):
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for piece in stream:
                size += len(piece)
                if size > most:
                    raise ServerError(
                        f"{where} answers with more than {most:,} bytes. Remedy: is it a model's server? See its log.",
                        final=True,
                    )
                if time.monotonic() > until:
                    raise late("the answer drips")
                yield piece

        def close(self) -> None:
            stream.close()

    return Bounded()
