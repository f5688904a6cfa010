"""Files by way of Wget, for a server that takes passwords from programs it knows and does not know us.

PhysioNet is one: it asks Wget and a few others for a password, and everything else for a browser's session. Wget is run
as it is, under its own name; its password is in memory that only it can read. Wget cannot tell whether a file changed
between two of its parts: the published checksum does.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from cxr_lightning.download.credentials import Login, login_for
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import LostError, NotLetInError, PassingError, StoppedError

_LOOK = 0.2
_NETWORK, _TLS, _REFUSED, _SERVER = 4, 5, 6, 8
"""Of Wget's exit statuses, those that its manual explains by the network, TLS, a password and the server's answer."""


class Wget:
    """Brings files by Wget; safe in threads.

    Args:
        address: The root of all addresses.
        stop: Set when all shall end.
        timeout: Seconds without a byte after which an attempt is given up.

    Raises:
        NotLetInError: There is no password that Wget could tell.
    """

    def __init__(self, address: str, stop: threading.Event, timeout: float = 60.0) -> None:
        login = login_for(urlsplit(address).hostname or "")
        if login is None:
            raise NotLetInError(401, asked=True, shown=False)
        self._stop, self._timeout = stop, timeout
        self._settings = _in_memory(login)

    @staticmethod
    def is_here() -> bool:
        """Whether there is a Wget, and memory to tell it a password in."""
        return shutil.which("wget") is not None and hasattr(os, "memfd_create")

    def carry(self, url: str, partial: Partial, told: Callable[[int], None]) -> None:
        """Brings the rest of a file.

        Args:
            url: Its address.
            partial: What came so far.
            told: Called with each number of bytes that came.

        Raises:
            PassingError: Not all came; it may be tried again.
            LostError: It cannot be had.
            NotLetInError: The server refuses this user.
        """
        if not partial.mark:
            partial.restart("wget")
        command = ["wget", f"--config=/proc/self/fd/{self._settings}", "--no-verbose", "--server-response"]
        command += ["--tries=1", f"--timeout={self._timeout:g}", "--max-redirect=0", "--no-hsts", "--continue"]
        process = subprocess.Popen(
            [*command, f"--output-document={partial.file}", "--", url],
            pass_fds=[self._settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us, who end it
            env={**os.environ, "LC_ALL": "C"},
        )
        before = partial.size
        said = self._watch(process, partial, told)
        if process.returncode:
            raise _trouble(process.returncode, said, partial, went_on=before > 0)

    def close(self) -> None:
        """Forgets the password."""
        with contextlib.suppress(OSError):
            os.close(self._settings)

    def _watch(self, process: subprocess.Popen[str], partial: Partial, told: Callable[[int], None]) -> str:
        try:
            while True:
                try:
                    said = process.communicate(timeout=_LOOK)[1]
                    break
                except subprocess.TimeoutExpired:
                    told(partial.grown())
                    if self._stop.is_set():
                        raise StoppedError from None
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
            told(partial.grown())
        return said


def _in_memory(login: Login) -> int:
    settings = os.memfd_create("wget", 0)
    os.write(settings, f"netrc = off\nhttp_user = {login.user}\nhttp_password = {login.password}\n".encode())
    return settings


def _trouble(code: int, said: str, partial: Partial, *, went_on: bool) -> Exception:
    statuses = [int(each) for each in re.findall(r"^ +HTTP/\S+ (\d{3})", said, re.MULTILINE)]
    status = statuses[-1] if statuses else 0
    if code == _REFUSED or status in (401, 403):
        return NotLetInError(status or 401, asked=True, shown=True)
    if went_on and status in (200, 416):  # it knows no ranges, or what had come is longer than the file
        partial.restart("wget")
        return PassingError("the server does not go on where it ended")
    if code not in (_NETWORK, _TLS, _SERVER):
        return LostError(f"Wget ended with status {code}")
    if status == 404 or 300 <= status < 400:
        return LostError("not on the server (404)" if status == 404 else "the server sends elsewhere")
    return PassingError(f"HTTP {status}" if status >= 400 else "the connection ended early", busy=status in (429, 503))
