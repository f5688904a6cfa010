"""Names and passwords enter, from a file or the environment and never from the command line; who may come in leaves.

A command line is seen by everyone on a node, so it names the file at most. Being in is a random token in a cookie that
scripts cannot read and other sites cannot send.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import time
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "CXR_WEB_AUTH"
"""Holds `user:password` where no file is given."""
_IN_SECONDS = 12 * 3600.0


class LoginError(ValueError):
    """The names and passwords cannot be used."""


class Login:
    """Who may come in, and who is in.

    Args:
        users: Passwords by name; nobody is asked where there are none.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._inside: dict[str, float] = {}  # token: until when

    def __bool__(self) -> bool:
        """Tells whether anybody is asked."""
        return bool(self._users)

    def enter(self, name: str, password: str) -> str | None:
        """Lets somebody in.

        Args:
            name: The name given.
            password: The password given.

        Returns:
            A token, or None if name and password do not go together.
        """
        # An unknown name takes as long as a wrong password: time tells no names.
        known = self._users.get(name, secrets.token_hex())
        if not hmac.compare_digest(known.encode(), password.encode()):
            return None
        now = time.monotonic()
        self._inside = {token: until for token, until in self._inside.items() if until > now}
        token = secrets.token_urlsafe(32)
        self._inside[token] = now + _IN_SECONDS
        return token

    def is_in(self, token: str) -> bool:
        """Tells whether a token is somebody's who came in, not longer than half a day ago."""
        return self._inside.get(token, 0.0) > time.monotonic()

    def leave(self, token: str) -> None:
        """Forgets a token."""
        self._inside.pop(token, None)


def read_login(file: Path | None) -> Login:
    """Reads who may come in.

    Args:
        file: A line `user:password` each; None for the variable CXR_WEB_AUTH, and nobody is asked if it is not set.

    Raises:
        LoginError: The file is missing, open to others, or a line is no name with a password.
    """
    if file is None:
        told = os.environ.get(VARIABLE, "")
        return Login(_users(told, VARIABLE) if told else {})
    try:
        # Some editors begin a file with a mark of its encoding, which is no part of the first name.
        mode, text = file.stat().st_mode, file.read_text("utf-8-sig")
    except OSError as error:
        raise LoginError(
            f"{file} cannot be read ({error.strerror}). Remedy: name a file with a line user:password each."
        ) from None
    except UnicodeDecodeError:
        raise LoginError(f"{file} is not text in UTF-8. Remedy: save it so.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise LoginError(f"{file} holds passwords and is open to others. Remedy: chmod 600 {file}")
    return Login(_users(text, str(file)))


def _users(text: str, where: str) -> dict[str, str]:
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.strip().partition(":")
        if not (name and colon and password):  # and the line is not told: it may be a password alone
            raise LoginError(f"{where}, line {number} is not user:password. Remedy: write name, colon, password.")
        users[name] = password
    if not users:
        raise LoginError(f"{where} names nobody. Remedy: write a line user:password.")
    return users
