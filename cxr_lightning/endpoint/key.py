"""The key that opens a server, and the name under which the environment holds it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable

KEY = "CXR_API_KEY"
"""The environment's name for a server's key. Never OPENAI_API_KEY: that is for another server."""
NO_KEY = "none"
"""What is sent where there is none: the protocol wants a word."""


def key(given: str | None) -> str | None:
    """Returns what a server asks for: what was given, else what the environment says.

    Args:
        given: What the user wrote.
    """
    return given or os.environ.get(KEY) or None


def sent_words(authorization: str) -> tuple[str, ...]:
    """Returns the secrets in a request's header: the key, or user and password together, alone and as they are sent.

    Args:
        authorization: The header, such as "Bearer KEY".
    """
    scheme, _, sent = authorization.partition(" ")
    words = [sent]
    if scheme == "Basic":
        try:
            both = base64.b64decode(sent).decode()
        except ValueError:
            both = ""
        words += [both, both.partition(":")[2]]
    return tuple(word for word in words if word and word != NO_KEY)


def blotted(text: str, secrets: Iterable[str]) -> str:
    """Returns a text without secrets.

    Args:
        text: What is to be shown.
        secrets: What is not.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[key]")
    return text
