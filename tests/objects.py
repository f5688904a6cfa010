"""A real S3 server (moto's, over HTTP), and a way to it that cuts connections in the middle of an answer."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import fsspec
import pytest

from cxr_lightning.shards import storage

BUCKET = "films"


class CuttingProxy:
    """Passes bytes between clients and a server; of every n-th connection it cuts the answer short.

    Args:
        port: The server's.
        every: Which connections are cut; 0 cuts none.
        after: Bytes of the answer that still pass.
    """

    def __init__(self, port: int, every: int, after: int = 2000) -> None:
        self.server, self.every, self.after = port, every, after
        self.connections = self.cut = self.passed = 0
        self._count = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no further connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                number = next(self._count)
                self.connections = number
                server = socket.create_connection(("127.0.0.1", self.server))
                cut = bool(self.every) and number % self.every == 0
                threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, self.after if cut else None)).start()

    def _pass(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if most is not None and passed + len(data) > most:
                    target.sendall(data[: most - passed])
                    self.cut += 1
                    break
                target.sendall(data)
                passed += len(data)
                if target is not None and most is None:
                    self.passed += len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _forget_servers() -> None:
    """Drops file systems that were opened on another address; a process has one server for life, a test has its own."""
    storage._FILES.clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch, folder: Path, every: int = 0) -> Iterator[CuttingProxy]:
    """Serves a folder as the bucket's content under its name, and points the environment there, through the proxy."""
    from moto.server import ThreadedMotoServer

    given = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket=BUCKET)
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"{folder.name}/{path.name}")
    proxy = CuttingProxy(port, every)
    _forget_servers()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    try:
        yield proxy
    finally:
        proxy.close()
        client.delete_objects(
            Bucket=BUCKET, Delete={"Objects": [{"Key": f"{folder.name}/{path.name}"} for path in folder.iterdir()]}
        )
        client.delete_bucket(Bucket=BUCKET)
        server.stop()
