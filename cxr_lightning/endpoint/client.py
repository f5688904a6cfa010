"""The official client of a server that speaks OpenAI's protocol, so that it goes where the user said and nowhere else.

It follows no redirection, retries nothing by itself, takes no key that is meant for another server, and uses a proxy
only for what may leave the site.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from cxr_lightning.endpoint.bounded import bound
from cxr_lightning.endpoint.key import NO_KEY, key
from cxr_lightning.endpoint.trouble import ServerError
from cxr_lightning.site import is_loopback, shown

CONNECT_SECONDS = 10.0
"""How long we wait for a connection."""
ANSWER_SECONDS = 600.0
"""How long we wait for an answer, from one piece to the next and for the whole."""


def open_client(parts: SplitResult, url: str, api_key: str | None, *, direct: bool, extra: str = "serve") -> Any:
    """Opens a client.

    Args:
        parts: The URL as the user gave it; user and password in it are sent.
        url: The URL without them.
        api_key: What the server asks for, if it does; None takes CXR_API_KEY.
        direct: Never by way of a proxy that the environment names; without it, only a server on this machine is not.
        extra: Which of our extras brings the openai package to who asks.

    Raises:
        ServerError: The openai package is not installed.
    """
    try:
        import openai
    except ImportError:
        raise ServerError(
            f"asking a server needs the openai package. Remedy: pip install 'cxr-lightning[{extra}]'"
        ) from None
    # A proxy that the environment names is for the world outside, never for this machine.
    http = openai.DefaultHttpxClient(
        trust_env=not direct and not is_loopback(parts.hostname or ""),
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [lambda response: bound(response, ANSWER_SECONDS)]},
        auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
    )
    return openai.OpenAI(
        base_url=url,
        api_key=key(api_key) or NO_KEY,
        max_retries=0,
        timeout=openai.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        http_client=http,
    )


def split_url(url: str) -> SplitResult:
    """Takes a URL apart.

    Args:
        url: Where a server listens.

    Raises:
        ServerError: It names no server, or has a query.
    """
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        raise ServerError(f"{shown(url)} names no server. Remedy: give one such as http://127.0.0.1:8000")
    if parts.query or parts.fragment:
        raise ServerError(f"{shown(url)}: nothing may follow a ? or #. Remedy: leave it out; a key is CXR_API_KEY.")
    return parts


def bare_url(parts: SplitResult) -> str:
    """Returns a URL without the user's name and password, for what has it shows it, in logs and errors.

    Args:
        parts: The URL; `/v1` is added where it has no path.
    """
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") or "/v1").geturl()
