"""What a server said enters, checked and taken apart: nothing in it is believed to be there.

The openai package hands on whatever a server sends, a login page as a string, null as None; unread it would be an empty
answer about a patient.
"""

from __future__ import annotations

from typing import Any

from cxr_lightning.endpoint.reply import Finish, Reply, sound
from cxr_lightning.endpoint.trouble import RefusedError, foreign

_MOST_TOKENS = 10**9
"""No question or answer has more; a number of a thousand digits would stumble over itself later."""


def models_of(page: Any, url: str) -> list[str]:
    """Returns the models that a server says it serves.

    Args:
        page: Its answer.
        url: The server, as it may be shown.

    Raises:
        ServerError: It is no list of models.
    """
    data = getattr(page, "data", None)
    names = [getattr(each, "id", None) for each in data] if isinstance(data, list) else [None]
    found = [sound(name) for name in names if isinstance(name, str)]
    if len(found) < len(names):
        raise foreign(url, "no list of models")
    return found


def reply_of(answer: Any, url: str) -> Reply:
    """Returns a server's answer.

    Args:
        answer: What it said.
        url: The server, as it may be shown.

    Raises:
        ServerError: It is no answer of the protocol.
        RefusedError: It is one, without words.
    """
    choice = _choice(answer, url)
    if choice is None:
        raise RefusedError(f"{url} answered without a choice")
    message = getattr(choice, "message", None)
    if message is None:
        raise foreign(url, "a choice without a message")
    if message.content is None:
        raise RefusedError(f"{url} answered without words (finish_reason {choice.finish_reason})")
    usage = getattr(answer, "usage", None)
    return Reply(
        sound(_text(message.content, url)).strip(),
        _count(usage, "completion_tokens"),
        _finish(choice.finish_reason),
        _count(usage, "prompt_tokens"),
    )


def piece_of(chunk: Any, url: str) -> tuple[str, str | None]:
    """Returns a piece of a stream, and the reason of its end where it has one.

    Args:
        chunk: What the server said.
        url: The server, as it may be shown.

    Raises:
        ServerError: It is no piece of the protocol.
    """
    choice = _choice(chunk, url)
    if choice is None:  # usage comes so
        return "", None
    delta = getattr(choice, "delta", None)
    content = getattr(delta, "content", None)
    reason = getattr(choice, "finish_reason", None)
    return "" if content is None else _text(content, url), None if reason is None else str(reason)


def streamed(text: str, reason: str | None, *, stopped: bool, url: str) -> Reply:
    """Returns the answer that a stream made.

    Args:
        text: All of it.
        reason: The reason of its end; None where the server gave none.
        stopped: Whether we ended it.
        url: The server, as it may be shown.

    Raises:
        ServerError: It is broken off.
    """
    if stopped:
        return Reply(sound(text), None, "stopped")
    if reason is None:
        raise foreign(url, "an answer that breaks off" if text else "a stream without an answer")
    return Reply(sound(text), None, _finish(reason))


def _choice(answer: Any, url: str) -> Any:
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list):
        raise foreign(url, f"{_kind(answer)} where an answer belongs")
    return choices[0] if choices else None


def _text(content: Any, url: str) -> str:
    if not isinstance(content, str):
        raise foreign(url, f"{_kind(content)} where text belongs")
    return content


def _count(usage: Any, name: str) -> int | None:
    count = getattr(usage, name, None)
    if not isinstance(count, int) or isinstance(count, bool):
        return None
    return count if 0 <= count <= _MOST_TOKENS else None


def _finish(reason: Any) -> Finish | None:
    return reason if reason in ("stop", "length") else None


def _kind(thing: Any) -> str:
    return {"NoneType": "nothing", "str": "a page", "list": "a list"}.get(type(thing).__name__, "something else")
