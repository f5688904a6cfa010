"""Files over HTTP: an address and what came so far enter, further bytes of the same version leave.

A password goes to one place, the server that the user named, when that asks for it, over TLS; a redirect elsewhere does
without. A range is added only if server and file are proven to speak of the same version.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from cxr_lightning import __version__
from cxr_lightning.download.credentials import Login, login_for
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import AccessError, LostError, NotLetInError, PassingError, StoppedError
from cxr_lightning.site import is_loopback

if TYPE_CHECKING:
    import ssl

    import httpx2

AGENT = f"cxr-lightning/{__version__}"
"""What we call ourselves: PhysioNet asks programs for a name of their own."""

_REDIRECTS = 5
_LONGEST_WAIT = 3600.0
_TIMEOUT, _CONNECT = 60.0, 30.0
_CALLED = {
    "ConnectError": "no connection to the server", "ConnectTimeout": "no connection to the server",
    "ReadTimeout": "the server was silent", "ReadError": "the connection broke",
    "RemoteProtocolError": "the connection ended early",
}  # fmt: skip
"""Trouble by the name of its exception, in a user's words."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_BUSY = (429, 503)


@dataclass(frozen=True)
class Server:
    """The server that the user named, and how to speak to it.

    Attributes:
        address: Its root; what is told to it is told to nobody else.
        cookies: Of a browser's session there.
        timeout: Seconds without a byte after which an attempt is given up.
    """

    address: str
    cookies: CookieJar | None = None
    timeout: float = _TIMEOUT


class Web:
    """Brings files over HTTP; safe in threads, each of which keeps its connections.

    Args:
        server: Where files come from.
        stop: Set when all shall end.
    """

    def __init__(self, server: Server, stop: threading.Event) -> None:
        self._server, self._stop = server, stop
        self._origin = _origin(server.address)
        self._of_thread = threading.local()
        self._login: Login | None = None
        self._asked_user = False
        self._asking = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._clients: list[httpx2.Client] = []

    def carry(self, url: str, partial: Partial, told: Callable[[int], None]) -> None:
        """Brings the rest of a file.

        Args:
            url: Its address.
            partial: What came so far.
            told: Called with each number of bytes that came.

        Raises:
            PassingError: Not all came; it may be tried again.
            LostError: It cannot be had.
            NotLetInError: The server refuses this user or program.
        """
        import httpx2

        resumed = partial.size if partial.mark else 0
        headers = {"Range": f"bytes={resumed}-", "If-Range": partial.mark} if resumed else {}
        try:
            with self._answer(url, headers) as answer:
                whole = _begin(answer, partial, resumed)
                if whole is not None and whole == partial.size:
                    return
                self._read(answer, partial, whole, told)
        except httpx2.TransportError as error:
            raise _cut_off(error) from error
        except httpx2.InvalidURL as error:
            raise LostError("the server sends on to what is no address") from error

    def close(self) -> None:
        """Ends all connections; who reads from one hears of it."""
        for client in self._clients:
            with contextlib.suppress(Exception):
                client.close()

    def _read(self, answer: httpx2.Response, partial: Partial, whole: int | None, told: Callable[[int], None]) -> None:
        with partial.writing():
            for block in answer.iter_raw():
                if self._stop.is_set():
                    raise StoppedError
                partial.write(block)
                told(len(block))
                if whole is not None and partial.size > whole:
                    break
        if whole is not None and partial.size > whole:
            partial.restart()
            raise PassingError("more came than was announced")
        if whole is not None and partial.size < whole:
            raise PassingError("the connection ended early")

    @contextlib.contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        for _ in range(_REDIRECTS):
            with self._asked(url, headers) as answer:
                if answer.status_code not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = self._onward(url, answer.headers.get("location", ""))
        raise LostError(f"more than {_REDIRECTS} redirects")

    def _onward(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            parts, _ = urlsplit(target), _origin(target)
        except ValueError:
            raise LostError("the server sends on to what is no address") from None
        if re.search(r"/(log|sign)_?-?in\b", parts.path):
            raise NotLetInError(302, asked=True, shown=self._login is not None or self._server.cookies is not None)
        if parts.scheme != "https" and urlsplit(url).scheme == "https":
            raise LostError("the server sends on to an address without TLS")
        return target

    @contextlib.contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        """Asks, and once more with the password if that is what the server wants."""
        client, ours = self._client(), _origin(url) == self._origin
        login = self._login if ours and getattr(self._of_thread, "challenged", False) else None
        with client.stream("GET", url, headers=_with(login, headers)) as answer:
            if answer.status_code not in (401, 403):
                yield answer
                return
            status, challenge = answer.status_code, answer.headers.get("www-authenticate", "")
        if not ours:
            raise LostError(f"the server sends on to another, which refuses (HTTP {status})")
        if status == 403 or login:
            shown = bool(login) or self._server.cookies is not None
            raise NotLetInError(status, asked=bool(challenge or login), shown=shown)
        # Not told before it is asked for: a server that needs none hears none, and PhysioNet's first answer brings the
        # cookie without which it would hash the password again for each of the files.
        login = self._introduce(challenge)
        with client.stream("GET", url, headers=_with(login, headers)) as answer:
            if answer.status_code in (401, 403):
                raise NotLetInError(answer.status_code, asked=True, shown=True)
            self._of_thread.challenged = True
            yield answer

    def _introduce(self, challenge: str) -> Login:
        """Returns who the user is, asked for once."""
        host = urlsplit(self._server.address).hostname or ""
        if not re.search(r"\bbasic\b", challenge, re.IGNORECASE):
            raise AccessError(f"{host} asks for another kind of proof than a password: only Basic is known here")
        if urlsplit(self._server.address).scheme != "https" and not is_loopback(host):
            raise AccessError(f"{host} asks for a password without TLS; none is told. Remedy: --base_url https://...")
        with self._asking:
            if not self._asked_user:
                self._asked_user, self._login = True, login_for(host)
        if self._login is None:
            raise NotLetInError(401, asked=True, shown=False)
        return self._login

    def _client(self) -> httpx2.Client:
        """Returns this thread's client: its connections live on between files, its cookies spare the server work."""
        import httpx2

        client: httpx2.Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            with self._asking:
                self._context = self._context or httpx2.create_ssl_context()
                client = httpx2.Client(
                    verify=self._context,
                    cookies=self._server.cookies,
                    timeout=httpx2.Timeout(self._server.timeout, connect=min(_CONNECT, self._server.timeout)),
                    headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
                    follow_redirects=False,
                )
                self._clients.append(client)
            self._of_thread.client = client
        return client


def _with(login: Login | None, headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Authorization": login.basic} if login else headers


def _begin(answer: httpx2.Response, partial: Partial, resumed: int) -> int | None:
    """Sees what an answer brings, and makes room for it.

    Returns:
        How large the whole file is, if the server says.
    """
    status, mark = answer.status_code, _mark(answer)
    if status == 206:
        found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", ""))
        if not resumed or not found or int(found[1]) != resumed or mark not in ("", partial.mark):
            partial.restart()
            raise PassingError("another part came than was asked for")
        return int(found[2]) + 1 if found[3] == "*" else int(found[3])
    if status == 416 and resumed:
        if answer.headers.get("content-range", "").strip() == f"bytes */{resumed}" and mark in ("", partial.mark):
            return resumed  # all of it had come
        partial.restart()
        raise PassingError("the file is shorter than what had come of it")
    if status != 200:
        raise _refusal(answer)
    if answer.headers.get("content-type", "").startswith("text/html") and not answer.url.path.endswith(".html"):
        raise PassingError("a web page came in place of the file")
    partial.restart(mark)
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 19 else None


def _cut_off(error: httpx2.TransportError) -> Exception:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return LostError(
            "the server's certificate is not trusted on this machine. Remedy: SSL_CERT_FILE names a file of those "
            "that are, your site's own among them"
        )
    name = type(error).__name__
    return PassingError(f"{_CALLED.get(name, 'trouble on the way')} ({name})")


def _refusal(answer: httpx2.Response) -> Exception:
    status = answer.status_code
    if status in _PASSING or status >= 500:
        return PassingError(f"HTTP {status}", _wait(answer.headers.get("retry-after", "")), busy=status in _BUSY)
    return LostError("not on the server (404)" if status == 404 else f"HTTP {status}")


def _mark(answer: httpx2.Response) -> str:
    """Returns the name of a version that may stand in If-Range: a strong ETag, else the date of change."""
    tag = str(answer.headers.get("etag", ""))
    return tag if tag.startswith('"') else str(answer.headers.get("last-modified", ""))


def _wait(value: str) -> float | None:
    """Returns the seconds of a Retry-After, which is a number or a date."""
    if value.isdecimal():
        return min(float(value), _LONGEST_WAIT)
    try:
        until = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, until - time.time()), _LONGEST_WAIT)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname or "", port
