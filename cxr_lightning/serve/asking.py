"""Cases enter, rows leave in order: films are opened ahead of the model, and what cannot be answered is a row too.

A folder's model answers batches; a server is asked in parallel, for it makes batches of its own. Either way no more
films are held than what is being answered and what comes next.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cxr_lightning.serve.ahead import ahead
from cxr_lightning.serve.cases import Case
from cxr_lightning.serve.dialogue import Dialogue, Reply, Responder
from cxr_lightning.serve.trouble import RefusedError
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.images import ImageError, shrink
from cxr_lightning.shards.storage import StorageError

T = TypeVar("T")
_OPENERS = 2


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a case.

    Attributes:
        case: The case.
        images: What its films are called.
        reply: The answer; None where there is none.
        error: Why there is none.
        seconds: How long the answer took; of a batch, its share.
    """

    case: Case
    images: tuple[str, ...] = ()
    reply: Reply | None = None
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Opened:
    case: Case
    images: tuple[str, ...]
    dialogue: Dialogue | None
    error: str | None = None


@dataclass(frozen=True)
class Pace:
    """How much is asked at once.

    Attributes:
        batch: Cases that a folder's model answers together.
        parallel: Requests that a server has at a time.
        max_new_tokens: Longest answer.
    """

    batch: int
    parallel: int
    max_new_tokens: int


def ask_all(cases: Iterable[Case], responder: Responder, pace: Pace) -> Iterator[Answered]:
    """Asks about each case.

    Args:
        cases: What is asked.
        responder: Who answers.
        pace: How much at once.

    Yields:
        What became of each, in order.

    Raises:
        ServerError: The server is gone.
    """

    def open_case(case: Case) -> _Opened:
        try:
            films = case.open()
        except (ImageError, ShardError, StorageError) as error:
            return _Opened(case, (), None, str(error))
        size = responder.image_size
        grays = films.grays if size is None else tuple(shrink(gray, size) for gray in films.grays)
        return _Opened(case, films.names, Dialogue.ask(*grays, question=case.question))

    if responder.serves_many:

        def ask(opened: _Opened) -> Answered:
            return _ask([opened], responder, pace.max_new_tokens)[0]

        opened = ahead(open_case, cases, workers=_OPENERS, window=pace.parallel + _OPENERS)
        yield from ahead(ask, opened, workers=pace.parallel, window=2 * pace.parallel)
    else:
        opened = ahead(open_case, cases, workers=_OPENERS, window=2 * pace.batch)
        for chunk in chunks(opened, pace.batch):
            yield from _ask(chunk, responder, pace.max_new_tokens)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Divides items into lists of a size; the last may be shorter.

    Args:
        items: The items.
        size: Items in a list.
    """
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _ask(chunk: list[_Opened], responder: Responder, max_new_tokens: int) -> list[Answered]:
    dialogues = [opened.dialogue for opened in chunk if opened.dialogue is not None]
    begun, error = time.monotonic(), ""
    replies: Iterator[Reply | None] = iter(())
    if dialogues:
        try:
            replies = iter(responder.replies(dialogues, max_new_tokens=max_new_tokens))
        except RefusedError as refused:  # only a server raises it, which is asked one by one
            error, replies = str(refused), iter([None])
    seconds = round((time.monotonic() - begun) / max(len(dialogues), 1), 3)
    rows = []
    for opened in chunk:
        if opened.dialogue is None:
            rows.append(Answered(opened.case, opened.images, error=opened.error))
            continue
        reply = next(replies)
        rows.append(Answered(opened.case, opened.images, reply, error if reply is None else None, seconds))
    return rows
