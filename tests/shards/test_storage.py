"""Bytes by location: exactly those asked for, through servers that fail, or an error that says what to do."""

from __future__ import annotations

import hashlib
import os
import random
import sys

import fsspec
import pytest

from cxr_lightning.shards import storage
from cxr_lightning.shards.storage import Retry, StorageError, join, read_bytes, read_range, size_of
from tests.objects import CuttingProxy

from .conftest import DATA
from .web import web

pytestmark = pytest.mark.quick

HASTY = Retry(attempts=6, first=0.001, longest=0.002)
HOURS = Retry(first=3600.0, longest=3600.0)


@pytest.fixture
def server(folder):
    with web(folder) as running:
        yield running


def exercise(location: str, retry: Retry = HASTY) -> None:
    assert size_of(location, retry) == len(DATA)
    assert read_bytes(location, retry) == DATA
    draw = random.Random(0)
    for _ in range(30):
        start, size = draw.randrange(len(DATA)), draw.randrange(20_000)
        size = min(size, len(DATA) - start)
        assert read_range(location, start, size, retry) == DATA[start : start + size]
    assert storage.digest(location, retry) == hashlib.sha256(DATA).hexdigest()


def test_a_local_path(folder):
    exercise(str(folder / "a.tar"))
    exercise(f"file://{folder}/a.tar")


def test_memory():
    fsspec.filesystem("memory").pipe("/shelf/a.tar", DATA)
    exercise("memory://shelf/a.tar")


def test_a_web_server(server):
    exercise(f"{server.url}/a.tar")


def test_a_web_server_that_cuts_one_connection_in_ten(server):
    server.keep = False
    proxy = CuttingProxy(server.server_port, every=10)
    exercise(f"http://127.0.0.1:{proxy.port}/a.tar")
    assert proxy.cut


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_what_may_pass_is_tried_again(server, status):
    server.failures = [status] * 3
    assert read_range(f"{server.url}/a.tar", 5, 9, HASTY) == DATA[5:14]
    assert server.asked == 4


def test_it_is_not_tried_for_ever(server):
    server.failures = [503] * 50
    with pytest.raises(StorageError, match=rf"{server.url}/a.tar: cannot be read after 6 attempts.*503.*start again"):
        read_range(f"{server.url}/a.tar", 5, 9, HASTY)
    assert server.asked == 6


@pytest.mark.parametrize(
    ("status", "told"), [(403, "permissions"), (401, "permissions"), (404, "no such"), (400, "name")]
)
def test_what_will_not_pass_fails_at_once(server, status, told):
    server.failures = [status] * 50
    with pytest.raises(StorageError, match=told) as caught:
        read_range(f"{server.url}/a.tar", 5, 9, HASTY)
    assert server.asked == 1
    assert caught.value.missing == (status == 404)
    assert caught.value.location == f"{server.url}/a.tar"


def test_a_server_that_is_away(server):
    url = f"{server.url}/a.tar"
    server.shutdown()
    server.server_close()
    with pytest.raises(StorageError, match="after 6 attempts"):
        size_of(url, HASTY)


def test_a_server_without_ranges_is_refused_not_read_whole_each_time(server):
    server.ranges = False
    with pytest.raises(StorageError, match="ignores range requests"):
        read_range(f"{server.url}/a.tar", 5, 9, HASTY)


@pytest.mark.parametrize("scheme", ["path", "http", "memory"])
def test_a_stretch_beyond_the_end_is_an_error_at_once(scheme, folder, server):
    fsspec.filesystem("memory").pipe("/shelf/a.tar", DATA)
    places = {"path": f"{folder}/a.tar", "http": f"{server.url}/a.tar", "memory": "memory://shelf/a.tar"}
    for offset in (len(DATA) - 5, len(DATA) + 100):
        with pytest.raises(StorageError):
            read_range(places[scheme], offset, 10, HOURS)


@pytest.mark.parametrize("name", ["files", "none.tar"])
def test_local_mistakes_are_named(folder, name):
    location = str(folder.parent / name)
    with pytest.raises(StorageError, match=location):
        read_range(location, 0, 10, HOURS)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    storage._FILES.clear()
    with pytest.raises(StorageError, match=r"pip install 'cxr-lightning\[s3\]'"):
        read_bytes("s3://elsewhere/a.tar")


def test_a_scheme_that_is_none():
    with pytest.raises(StorageError, match="carrier"):
        read_bytes("carrier-pigeon://elsewhere/a.tar")


def test_waits_grow_to_a_bound_and_leave_training_s_chance_alone():
    random.seed(3)
    before = random.getstate()
    retry = Retry(first=1.0, longest=5.0)
    waits = [retry.wait(failures) for failures in range(1, 9)]
    assert all(min(5.0, 2.0**n) / 2 <= wait <= min(5.0, 2.0**n) for n, wait in enumerate(waits))
    assert random.getstate() == before


@pytest.mark.parametrize(
    ("root", "name", "joined"),
    [
        ("/data", "a.tar", "/data/a.tar"),
        ("file:///data/my%20shards", "a.tar", "/data/my shards/a.tar"),
        ("s3://bucket/shards/", "a.tar", "s3://bucket/shards/a.tar"),
        ("s3://bucket/shards", "/data/a.tar", "/data/a.tar"),
        ("/data", "https://host/a.tar", "https://host/a.tar"),
    ],
)
def test_names_are_joined(root, name, joined):
    assert join(root, name) == joined


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        for read in (storage.read_bytes, storage.size_of):
            with pytest.raises(StorageError, match="is a pipe or a device"):
                read(str(tmp_path / name))
