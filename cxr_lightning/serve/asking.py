"""Cases enter, rows leave in order: films are opened ahead of the model, and what cannot be answered is a row too.

A folder's model answers batches; a server is asked in parallel, for it makes batches of its own. Either way no more
films are held than what is being answered and what comes next.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cxr_lightning.endpoint.ahead import ahead
from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.serve.cases import Case
from cxr_lightning.serve.dialogue import Dialogue, Responder
from cxr_lightning.shards.contract import IMAGE_MARK, ShardError
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
            case.question.encode()  # half a character reaches no tokenizer, and no server
            films = case.open()
        except (ImageError, ShardError, StorageError) as error:
            return _Opened(case, (), None, str(error))
        except (ValueError, OSError, TypeError, LookupError, ArithmeticError) as error:  # a decoder's, on odd bytes
            return _Opened(case, (), None, f"{case.id}: cannot be opened ({type(error).__name__})")
        if IMAGE_MARK in case.question:
            return _Opened(
                case, films.names, None, f"{case.id}: the question has {IMAGE_MARK}, which stands for a film"
            )
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
    begun = time.monotonic()
    replies = iter(_replies(dialogues, responder, max_new_tokens))
    seconds = round((time.monotonic() - begun) / max(len(dialogues), 1), 3)
    rows = []
    for opened in chunk:
        if opened.dialogue is None:
            rows.append(Answered(opened.case, opened.images, error=opened.error))
            continue
        reply = next(replies)
        if isinstance(reply, Reply):
            rows.append(Answered(opened.case, opened.images, reply, seconds=seconds))
        else:
            rows.append(Answered(opened.case, opened.images, error=reply, seconds=seconds))
    return rows


def _replies(dialogues: list[Dialogue], responder: Responder, max_new_tokens: int) -> list[Reply | str]:
    """Answers a batch; one that fails is asked one by one, so that a row's error is that row's alone."""
    if not dialogues:
        return []
    try:
        return list(responder.replies(dialogues, max_new_tokens=max_new_tokens))
    except ServerError:
        raise
    except ValueError as error:  # a server's refusal, or a prompt that is too long for the model
        if len(dialogues) == 1:
            return [str(error) or type(error).__name__]
    return [reply for each in dialogues for reply in _replies([each], responder, max_new_tokens)]
