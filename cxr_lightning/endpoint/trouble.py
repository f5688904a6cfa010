"""What went wrong with a server enters, an error for people leaves: what it is, whose fault, and the remedy.

A request that the server refuses is one dialogue's fault, a server that is gone, or is none, is everyone's.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

from cxr_lightning.endpoint.key import blotted, sent_words
from cxr_lightning.site import shown

_LONGEST_WAIT = 30.0
_CODE = re.compile(r"[a-z]+(?:_[a-z]+){1,5}")


class ServerError(ValueError):
    """A server is not there, went away, does not let us in, or does not speak OpenAI's protocol.

    Args:
        told: What is wrong, and the remedy.
        final: Whether to ask once more is of no use.
    """

    def __init__(self, told: str = "", *, final: bool = False) -> None:
        super().__init__(told)
        self.final = final


class RefusedError(ValueError):
    """A server does not answer one request, and others it may.

    Args:
        told: What stands in logs.
        said: All that the server says; it may repeat what it was sent.
    """

    def __init__(self, told: str, said: str = "") -> None:
        super().__init__(told)
        self.said = said or told


def passing(error: Exception) -> bool:
    """Tells whether a failure may pass by itself.

    Args:
        error: What a request raised.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError) and not isinstance(error.__cause__, ServerError)


def silent(error: Exception) -> bool:
    """Tells whether a server took a request, and said nothing for as long as we wait.

    Args:
        error: What a request raised.
    """
    import openai

    return isinstance(error, openai.APITimeoutError) and not _below(error.__cause__, "ConnectTimeout")


def pause(error: Exception, failures: int, longest: float = _LONGEST_WAIT) -> float:
    """Returns how many seconds to wait: as the server wishes, else twice as long each time.

    Args:
        error: What the request raised.
        failures: How often it failed so far.
        longest: No wait is longer.
    """
    wished = _wished(getattr(getattr(error, "response", None), "headers", {}).get("retry-after", ""))
    return min(0.5 * 2.0 ** min(failures - 1, 16) if wished is None else max(wished, 0.0), longest)


def _wished(text: str) -> float | None:
    """Reads Retry-After, which is seconds or a date; None where it is neither."""
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # a date without its zone cannot be compared
        return None


def explained(error: Exception, url: str, model: str, *, words: bool = True) -> Exception:
    """Returns a failure as an error for people; what is not the server's doing is returned as it is.

    A server may repeat what it was sent: the key is blotted out wherever it stands.

    Args:
        error: What a request raised.
        url: The server, as it may be shown.
        model: The model asked for, or empty.
        words: Show what the server says; without, its status and code alone, for it was sent patients' text.
    """
    told = _explained(error, url, model, words=words)
    if not isinstance(told, (ServerError, RefusedError)):
        return told
    secrets = _secrets(error)
    clean = blotted(str(told), secrets)
    return RefusedError(clean, blotted(told.said, secrets)) if isinstance(told, RefusedError) else type(told)(clean)


def _secrets(error: Exception) -> tuple[str, ...]:
    """Returns the words by which a request was let in."""
    try:
        sent = str(error.request.headers.get("authorization", ""))  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # some have none, and say so in their own way
        return ()
    return sent_words(sent)


def _explained(error: Exception, url: str, model: str, *, words: bool) -> Exception:
    import openai

    if isinstance(error.__cause__, ServerError):  # found while the answer was read
        return error.__cause__
    if silent(error):
        return ServerError(
            f"{url} took the request and was silent, or its answer had no end. "
            "Remedy: look at the server; less --parallel gives it less to do."
        )
    if isinstance(error, openai.APIConnectionError) or _below(error, "TransportError"):
        why: object = error.__cause__ or str(error) or type(error).__name__
        if not words and type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout"):
            why = type(error.__cause__ or error).__name__  # some repeat the line that they could not read
        return ServerError(
            f"no server answers at {url} ({why}). Remedy: start it, such as by cxr serve MODEL; "
            "is it host and port that it printed?"
        )
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, url, model, words=words)
    if isinstance(error, openai.APIError):  # said in the midst of a stream
        return RefusedError(f"{url} broke off; it says {_said(error) if words else 'why'}.", _said(error))
    if isinstance(error, (ServerError, RefusedError)):
        return error
    if isinstance(error, (ValueError, TypeError, AttributeError, LookupError)):
        return foreign(url, "what it says cannot be read")  # the openai package stumbles over it, each time elsewhere
    return error


def foreign(url: str, what: str) -> ServerError:
    """Returns the error for an answer that is none of the protocol.

    Args:
        url: The server, as it may be shown.
        what: What is wrong with its answer.
    """
    return ServerError(
        f"{url} answers, but not in OpenAI's protocol: {what}. "
        "Remedy: give the URL of a model's server, such as cxr serve prints; a proxy's page of login says such things."
    )


def _below(error: BaseException | None, name: str) -> bool:
    """Tells by name whether an error of the transport is of a kind.

    The openai package speaks through httpx or httpx2, whichever it finds, and importing one of them here, where several
    threads may be in trouble at once, would show the others half a module.
    """
    return any(kind.__name__ == name and kind.__module__.startswith("httpx") for kind in type(error).__mro__)


def _of_status(error: Any, url: str, model: str, *, words: bool) -> Exception:
    if 300 <= error.status_code < 400:
        # Films and the key go where they were sent, and to nobody whom somebody else names.
        where = shown(urljoin(url, error.response.headers.get("location", "")))
        where = where if words else "/".join(where.split("/")[:3])
        return ServerError(f"{url} sends us on to {where}. Remedy: give that URL yourself, if you trust it.")
    said = f"it says {error.status_code}: {_said(error)}"
    whole, said = said, said if words else f"it says {error.status_code}{_code(error)}"
    if error.status_code in (401, 403):
        return ServerError(f"{url} lets nobody in without its key; {said}. Remedy: CXR_API_KEY, or --api_key KEY.")
    if (error.status_code == 404 or "pinned to" in _said(error)) and model:
        return ServerError(
            f"{url} does not serve {model!r}; {said}. Remedy: leave out --served_model, or name what it serves."
        )
    return RefusedError(f"{url} refuses; {said}.", whole)


def _code(error: Any) -> str:
    """Returns the name that a server gives to a failure; nothing that could be a sentence."""
    code = getattr(error, "code", None)
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = body.get("message") or body.get("detail") or error.message
    return " ".join(str(text).split())[:300].rstrip(".")
