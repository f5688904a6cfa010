"""What went wrong with a server enters, an error for people leaves: what it is, whose fault, and the remedy.

A request that the server refuses is one dialogue's fault, a server that is gone, or is none, is everyone's.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from cxr_lightning.shards.storage import shown

_LONGEST_WAIT = 30.0


class ServerError(ValueError):
    """A server is not there, went away, does not let us in, or does not speak OpenAI's protocol."""


class RefusedError(ValueError):
    """A server does not answer one request, and others it may."""


def passing(error: Exception) -> bool:
    """Tells whether a failure may pass by itself.

    Args:
        error: What a request raised.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)


def silent(error: Exception) -> bool:
    """Tells whether a server took a request, and said nothing for as long as we wait.

    Args:
        error: What a request raised.
    """
    import openai

    return isinstance(error, openai.APITimeoutError) and not _below(error.__cause__, "ConnectTimeout")


def pause(error: Exception, failures: int) -> float:
    """Returns how many seconds to wait: as the server wishes, else twice as long each time.

    Args:
        error: What the request raised.
        failures: How often it failed so far.
    """
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(max(float(headers.get("retry-after", "")), 0.0), _LONGEST_WAIT)
    except ValueError:
        return min(0.5 * 2.0 ** (failures - 1), _LONGEST_WAIT)


def explained(error: Exception, url: str, model: str) -> Exception:
    """Returns a failure as an error for people; what is not the server's doing is returned as it is.

    Args:
        error: What a request raised.
        url: The server, as it may be shown.
        model: The model asked for, or empty.
    """
    import openai

    if silent(error):
        return ServerError(
            f"{url} took the request and was silent. Remedy: look at the server; less --parallel gives it less to do."
        )
    if isinstance(error, openai.APIConnectionError) or _below(error, "TransportError"):
        why = error.__cause__ or str(error) or type(error).__name__
        return ServerError(
            f"no server answers at {url} ({why}). Remedy: start it, such as by cxr serve MODEL; "
            "is it host and port that it printed?"
        )
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, url, model)
    if isinstance(error, openai.APIError):  # said in the midst of a stream
        return RefusedError(f"{url} broke off; it says {_said(error)}.")
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


def _of_status(error: Any, url: str, model: str) -> Exception:
    if 300 <= error.status_code < 400:
        # Films and the key go where they were sent, and to nobody whom somebody else names.
        where = shown(urljoin(url, error.response.headers.get("location", "")))
        return ServerError(f"{url} sends us on to {where}. Remedy: give that URL yourself, if you trust it.")
    said = f"it says {error.status_code}: {_said(error)}"
    if error.status_code in (401, 403):
        return ServerError(f"{url} lets nobody in without its key; {said}. Remedy: CXR_API_KEY, or --api_key KEY.")
    if (error.status_code == 404 or "pinned to" in _said(error)) and model:
        return ServerError(
            f"{url} does not serve {model!r}; {said}. Remedy: leave out --served_model, or name what it serves."
        )
    return RefusedError(f"{url} refuses; {said}.")


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = body.get("message") or body.get("detail") or error.message
    return " ".join(str(text).split())[:300].rstrip(".")
