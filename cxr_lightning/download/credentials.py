"""Who the user is to a server: netrc, a browser's cookies or the terminal enter, what a request needs leaves.

A password is never an argument, never part of an address, never in a log: what holds it does not print it.
"""

from __future__ import annotations

import base64
import getpass
import logging
import netrc
import os
import stat
import sys
from dataclasses import dataclass, field
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path

from cxr_lightning.download.trouble import AccessError

log = logging.getLogger(__name__)
USERNAME = "PHYSIONET_USERNAME"


@dataclass(frozen=True)
class Login:
    """A user and a password, for one host.

    Attributes:
        user: The name.
        password: The password.
    """

    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The header's value in HTTP's Basic scheme."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login_for(host: str) -> Login | None:
    """Finds who the user is: netrc first, then the terminal, if there is one.

    Args:
        host: The server's name.

    Raises:
        AccessError: The netrc file cannot be understood.
    """
    return _from_netrc(host) or _from_terminal(host)


def cookies_from(file: Path) -> MozillaCookieJar:
    """Reads cookies that a browser exported (Netscape's format, `cookies.txt`).

    Args:
        file: The file.

    Raises:
        AccessError: It is not of that format.
    """
    jar = MozillaCookieJar(str(file))
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (LoadError, UnicodeDecodeError):  # whose text may quote the line, and with it the cookie
        raise AccessError(
            f"--cookies {file}: not in Netscape's format, which begins with '# Netscape HTTP Cookie File'"
        ) from None
    _warn_of_readers(file)
    return jar


def _from_netrc(host: str) -> Login | None:
    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        # Not `netrc.authenticators`: its `default` entry would tell a password to whichever host asks.
        found = netrc.netrc(str(file)).hosts.get(host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:  # its text may quote the password
        raise AccessError(f"{file}: line {error.lineno} cannot be understood") from None
    except OSError as error:
        raise AccessError(f"{file}: {error.strerror}") from None
    if found is None:
        return None
    _warn_of_readers(file)
    return Login(found[0] or "", found[2] or "")


def _warn_of_readers(file: Path) -> None:
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s can be read by other users of this machine. Remedy: chmod 600 %s", file, file)


def _from_terminal(host: str) -> Login | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    user = os.environ.get(USERNAME, "")
    if not user:
        print(f"User name at {host}: ", end="", file=sys.stderr, flush=True)
        user = sys.stdin.readline().strip()
    return Login(user, getpass.getpass(f"Password of {user} at {host}: ")) if user else None
