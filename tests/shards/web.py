"""A plain HTTP server of a folder that answers range requests, and can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Web(ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes:
        failures: Statuses of the next answers, before it serves again.
        ranges: Whether it answers range requests.
        keep: Whether a connection may serve several requests.
        asked: Requests so far.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.failures, self.ranges, self.keep, self.asked = folder, [], True, True, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet
    server: Web

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked += 1
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if self.server.failures:
            return self._send(self.server.failures.pop(0), b"", {}, body)
        if not path.is_file():
            return self._send(404, b"", {}, body)
        data, wanted = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted and self.server.ranges:
            start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"}, body)
            return self._send(206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}, body)
        return self._send(200, data, {"Accept-Ranges": "bytes"} if self.server.ranges else {}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        close = {} if self.server.keep else {"Connection": "close"}
        self.send_response(status)
        for name, value in {**headers, **close, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def web(folder: Path) -> Iterator[Web]:
    """Serves a folder."""
    server = Web(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
