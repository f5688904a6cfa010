"""Addresses: which of them never leave this machine, and which key opens a server."""

from __future__ import annotations

import ipaddress
import os

KEY = "CXR_API_KEY"
"""The environment's name for a server's key. Never OPENAI_API_KEY: that is for another server."""


def is_loopback(host: str) -> bool:
    """Tells whether an address is this machine's alone.

    Args:
        host: A name or an address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key(given: str | None) -> str | None:
    """Returns what a server asks for: what was given, else what the environment says.

    Args:
        given: What the user wrote.
    """
    return given or os.environ.get(KEY) or None
