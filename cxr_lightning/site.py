"""Sites: which addresses never leave this machine or its private network, and what of patients may go beyond.

Also how an address is told without the secrets in it.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

_SITE = [
    ipaddress.ip_network(each)
    for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
] + [ipaddress.ip_network(each) for each in ("::1/128", "fc00::/7", "fe80::/10")]
"""Loopback, private (RFC 1918, RFC 4193) and link-local addresses. Not Python's `is_private`, which holds more."""


class OffSiteError(ValueError):
    """Patients' films or texts would go to a machine that is neither this one nor on a private network."""


def is_loopback(host: str) -> bool:
    """Tells whether an address is this machine's alone.

    Args:
        host: A name or an address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_on_site(host: str) -> bool:
    """Tells whether all addresses of a host are this machine's or a private network's.

    Args:
        host: A name or an address. A name that is not known is not on site.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_private(each) for each in found)


def require_on_site(url: str, *, allowed: bool, what: str) -> None:
    """Keeps what is patients' where it belongs.

    The name is looked up here, and again by whoever connects: who governs the site's names could tell the two apart.

    Args:
        url: The server. One without a host is let through: who opens it tells that better.
        allowed: Whether the user said that it may leave the site.
        what: What would go there, in words, such as "report text".

    Raises:
        OffSiteError: The server is elsewhere, and the user did not allow it.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return
    if not host or is_on_site(host):
        return
    if not allowed:
        raise OffSiteError(
            f"{host} is neither this machine nor on a private network, and {what} would go there. Remedy: a server of "
            "your own, such as a local vLLM; or, if your data's licence and your hospital allow it, "
            "--may_leave_site true."
        )
    log.warning("Out of this site, to %s: %s.", host, what)


def _is_private(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # what is said in IPv6 of an address out there is out there
    return any(address in network for network in _SITE if network.version == address.version)


def shown(location: str) -> str:
    """Returns a location as it may stand in logs: without user, password, and the query that may carry a signature.

    Args:
        location: A path or URL.
    """
    scheme, mark, rest = location.partition("://")
    if not mark or scheme == "file":
        return location
    server, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{path}"
