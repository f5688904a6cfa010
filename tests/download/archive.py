"""A data set's server, on real sockets, as bad as servers are: it cuts, stalls, lies, asks for passwords."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "reader", "pA5s:wörd#s3cret"


class Archive:
    """Files by path, and how badly they are served."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.password: tuple[str, str] | None = None
        self.agents: str = ""  # what a program must be called to be asked for a password
        self.session = ""  # the cookie that lets a browser in
        self.statuses: dict[str, deque[tuple[int, dict[str, str]]]] = {}
        self.cut: Any = None  # (length of the answer) -> bytes after which the connection ends, or None
        self.ranges = True
        self.shifted = 0  # answers to a range begin so many bytes late, and say so
        self.marks = True
        self.lengths = True
        self.stall: dict[str, float] = {}
        self.redirects: dict[str, str] = {}
        self.types: dict[str, str] = {}
        self.pace = 0.0
        self.sent = 0
        self.connections = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.counted: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.url = ""

    def publish(self, collection: str, files: dict[str, bytes]) -> None:
        """Publishes files and the list of their checksums."""
        lines = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in sorted(files.items()))
        self.files |= {f"/{collection}/{name}": data for name, data in files.items()}
        self.files[f"/{collection}/SHA256SUMS.txt"] = lines.encode()

    def requests(self, end: str) -> list[dict[str, str]]:
        """Returns the headers of all requests for paths with this end."""
        return [headers for path, headers in self.asked if path.endswith(end)]


@contextmanager
def serving(archive: Archive, certificate: Path | None = None) -> Iterator[Archive]:
    class Handler(_Handler):
        of = archive

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    archive.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go in two pieces, and the second would wait for the first
    of: Archive

    def setup(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # what is sent is soon received
        super().setup()
        with self.of.lock:
            self.of.connections += 1

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        archive = self.of
        with archive.lock:
            archive.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            archive.counted[self.path] += 1
            waiting = archive.statuses.get(self.path)
            status = waiting.popleft() if waiting else None
        if self.path in archive.redirects:
            self._say(302, {"Location": archive.redirects[self.path]})
        elif refused := self._refused():
            self._say(*refused)
        elif status:
            self._say(*status)
        elif self.path not in archive.files:
            self._say(404)
        else:
            self._serve(archive.files[self.path])

    def _refused(self):
        archive, agent = self.of, self.headers.get("User-Agent", "")
        if archive.session:
            if f"sessionid={archive.session}" in self.headers.get("Cookie", ""):
                return None
            if not archive.agents:
                return 302, {"Location": f"/login/?next={self.path}"}
        if archive.agents and not re.match(archive.agents, agent):
            return 403, {}
        if archive.password:
            right = base64.b64encode(":".join(archive.password).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {right}":
                return 401, {
                    "WWW-Authenticate": 'Basic realm="PhysioNet"',
                    "Set-Cookie": "testcookie=1; Path=/; HttpOnly",
                }
        return None

    def _say(self, status, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _serve(self, data):
        archive = self.of
        mark = f'"{hashlib.md5(data).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range", mark) == mark
        start = int(asked[1]) if asked and archive.ranges and fresh else 0
        if start and start >= len(data):
            self._say(416, {"Content-Range": f"bytes */{len(data)}", **({"ETag": mark} if archive.marks else {})})
            return
        start += archive.shifted if start else 0
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if archive.marks:
            self.send_header("ETag", mark)
        self.send_header("Content-Type", archive.types.get(self.path, "application/octet-stream"))
        if archive.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        cut = archive.cut(len(body)) if archive.cut else None
        self._write(body if cut is None else body[:cut])
        if cut is not None or not archive.lengths:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.close_connection = True

    def _write(self, body):
        archive = self.of
        time.sleep(archive.stall.pop(self.path, 0.0))
        for place in range(0, len(body), 1 << 14):
            piece = body[place : place + (1 << 14)]
            try:
                self.wfile.write(piece)
            except OSError:
                self.close_connection = True
                return
            with archive.lock:
                archive.sent += len(piece)
            if archive.pace:
                time.sleep(archive.pace)


def radiographs(seed: int = 0, images: int = 30, size: int = 30_000) -> dict[str, bytes]:
    """Returns files named as MIMIC-CXR-JPG names them."""
    chance = random.Random(seed)
    found = {
        f"files/p1{n % 3}/p1{n % 3}00000{n % 7}/s5000000{n}/{n:08x}-0.jpg": chance.randbytes(
            chance.randint(1, 2 * size)
        )
        for n in range(images)
    }
    tables = {name: chance.randbytes(5000) for name in ("mimic-cxr-2.0.0-metadata.csv.gz", "IMAGE_FILENAMES")}
    return {**found, **tables}
