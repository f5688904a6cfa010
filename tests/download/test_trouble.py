"""Connections that end, servers that stall, lie and are busy: what comes is what was published, or nothing is."""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import deque
from email.utils import formatdate

import httpx2
import pytest

from cxr_lightning.download import fetching
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import DownloadError, PassingError
from cxr_lightning.download.web import _begin, _wait
from tests.download.conftest import published, tree

pytestmark = pytest.mark.quick
BOTH = ("mimic-cxr-jpg/2.1.0", "mimic-cxr/2.1.0")
PNG = "/imgs/collections/NLMCXR_png.tgz"
IMAGE = "files/p10/p1000000/s1/a.jpg"


@pytest.fixture
def one(archive):
    """One image of 600 kB, and nothing else."""
    archive.files.clear()
    archive.publish("mimic-cxr-jpg/2.1.0", {IMAGE: random.Random(1).randbytes(600_000)})
    return f"/mimic-cxr-jpg/2.1.0/{IMAGE}"


def busy(status: int, times: int, **headers: str) -> deque[tuple[int, dict[str, str]]]:
    return deque([(status, {name.replace("_", "-"): value for name, value in headers.items()})] * times)


@pytest.mark.parametrize("seed", range(5))
def test_connections_cut_at_random_bytes(archive, fetch, seed):
    chance = random.Random(seed)
    archive.cut = lambda length: chance.randrange(length) if length and chance.random() < 0.6 else None
    total = sum(map(len, archive.files.values()))
    out = fetch(attempts=30)
    assert tree(out) == published(archive, *BOTH)
    assert archive.sent <= 1.02 * total, "what came once does not come again"


def test_every_connection_is_cut_early(archive, fetch, one):
    """Far more cuts than attempts: none was in vain."""
    archive.cut = lambda length: min(length, 9_000)
    assert tree(fetch(only="*.jpg", attempts=2)) == {IMAGE: archive.files[one]}
    assert archive.counted[one] > 60
    assert archive.sent <= len(archive.files[one]) + 1000


def test_cuts_by_a_server_that_knows_no_ranges(archive, fetch, one):
    archive.ranges, sizes = False, iter([100_000, 500_000, 300_000, 0, None])
    archive.cut = lambda length: next(sizes) if length > 1000 else None
    assert tree(fetch(only="*.jpg")) == {IMAGE: archive.files[one]}
    assert archive.counted[one] == 5


def test_a_server_that_never_sends_all_is_given_up(archive, fetch, one):
    archive.ranges = False
    archive.cut = lambda length: 100_000 if length > 1000 else None
    with pytest.raises(DownloadError, match=r"the connection ended early|RemoteProtocolError, 3 times"):
        fetch(only="*.jpg", attempts=3)
    assert archive.counted[one] == 4


def test_a_range_that_begins_elsewhere_is_not_added(archive, fetch, one):
    archive.shifted, first = 7, [True]

    def cut(length):
        if length > 1000 and first.pop() if first else False:
            return 50_000
        return None

    archive.cut = cut
    assert tree(fetch(only="*.jpg")) == {IMAGE: archive.files[one]}
    assert [each.get("range") for each in archive.requests(".jpg")] == [None, "bytes=50000-", None]


def test_without_a_mark_of_the_version_nothing_is_added(archive, fetch, one):
    archive.marks, sizes = False, iter([300_000, None])
    archive.cut = lambda length: next(sizes) if length > 1000 else None
    assert tree(fetch(only="*.jpg")) == {IMAGE: archive.files[one]}
    assert [each.get("range") for each in archive.requests(".jpg")] == [None, None]


def test_the_parts_of_two_versions_are_not_joined(archive, fetch):
    """The file is replaced between its parts, and no checksum is published that would tell."""
    old, new = (gzip.compress(random.Random(seed).randbytes(200_000)) for seed in (1, 2))
    archive.files[PNG] = old

    def cut(length):
        if archive.files[PNG] is old:
            archive.files[PNG] = new
            return 90_000
        return None

    archive.cut = cut
    assert tree(fetch("openi", only="NLMCXR_png.tgz", unpack=False)) == {"NLMCXR_png.tgz": new}
    assert archive.requests(".tgz")[1]["range"] == "bytes=90000-"


def test_a_file_without_length_that_is_cut_is_not_whole(archive, fetch):
    archive.files[PNG] = gzip.compress(random.Random(1).randbytes(200_000))
    archive.lengths, sizes = False, iter([90_000, None])
    archive.cut = lambda length: next(sizes)
    out = fetch("openi", only="NLMCXR_png.tgz", unpack=False)
    assert tree(out) == {"NLMCXR_png.tgz": archive.files[PNG]}


def test_other_bytes_than_published_do_not_stay(archive, fetch, one, tmp_path):
    right = archive.files[one]
    archive.files[one] = b"x" * len(right)
    with pytest.raises(DownloadError, match=r"another checksum\), 3 times"):
        fetch(only="*.jpg")
    assert tree(tmp_path / "out") == {}
    archive.files[one] = right
    assert tree(fetch(only="*.jpg")) == {IMAGE: right}


def test_a_web_page_in_place_of_a_file_is_none(archive, fetch, one, tmp_path):
    archive.types[one] = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page came"):
        fetch(only="*.jpg", attempts=2)
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_what_passes_is_waited_for(archive, fetch, one, status):
    archive.statuses[one] = busy(status, 3)
    assert tree(fetch(only="*.jpg")) == {IMAGE: archive.files[one]}
    assert archive.counted[one] == 4


def test_what_does_not_pass_is_not(archive, fetch, one):
    archive.statuses[one] = busy(400, 1)
    with pytest.raises(DownloadError, match="HTTP 400"):
        fetch(only="*.jpg")
    assert archive.counted[one] == 1


@pytest.mark.parametrize("value", ["1", "date"])
def test_all_wait_as_long_as_the_server_says(archive, fetch, value):
    path = next(path for path in archive.files if path.endswith(".jpg"))
    after = formatdate(time.time() + 2, usegmt=True) if value == "date" else value
    archive.statuses[path] = busy(429, 1, Retry_After=after)
    begun = time.monotonic()
    fetch(parallel=4)
    assert time.monotonic() - begun >= 0.9
    assert archive.counted[path] == 2


def test_a_long_wait_is_told(caplog):
    gate = fetching.Gate(threading.Event())
    with caplog.at_level("INFO"):
        for _ in range(5):
            gate.after(PassingError("HTTP 429", 120.0, busy=True), 0)
    assert [record.message for record in caplog.records] == ["The server is busy and asks for 120 seconds of patience."]


def test_waits_grow_and_end(monkeypatch):
    monkeypatch.setattr(fetching, "FIRST_WAIT", 1.0)
    gate = fetching.Gate(threading.Event())
    waits = [gate.after(PassingError("x"), attempt) - time.monotonic() for attempt in range(12)]
    assert all(0.49 * 2**n <= wait <= 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= fetching._LONGEST


def test_a_server_that_stalls_is_asked_again(archive, fetch, one):
    archive.stall[one] = 3.0
    begun = time.monotonic()
    assert tree(fetch(only="*.jpg", timeout=0.3)) == {IMAGE: archive.files[one]}
    assert time.monotonic() - begun < 2.5


def test_nobody_there_is_told_with_a_remedy(tmp_path):
    from cxr_lightning.download.verb import download

    with pytest.raises(DownloadError, match=r"no connection .*ConnectError\), 2 times.*data transfer nodes"):
        download("mimic-cxr", out=tmp_path / "out", base_url="http://127.0.0.1:9", attempts=2)


def test_redirects_in_a_ring_end(archive, fetch, one):
    archive.redirects[one] = one
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        fetch(only="*.jpg")


@pytest.mark.parametrize(
    "location",
    ["http://[bad/", "http://127.0.0.1:99999/x", "ftp://127.0.0.1/x", "", "http://127.0.0.1:x/", "http://a\x01b/"],
)
def test_redirects_to_nowhere_cost_one_file(archive, fetch, one, location, tmp_path):
    archive.redirects[one] = location
    with pytest.raises(DownloadError, match="1 not fetched"):
        fetch(only="*.jpg", attempts=2)
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "answered",
    ["", "bytes", "bytes 5-9/10", "bytes 100-/600", f"bytes {'9' * 5000}-9/9", "bytes 0-599/600", "items 100-599/600"],
)
def test_what_a_range_is_called_must_fit_what_was_asked(tmp_path, answered):
    partial = Partial(tmp_path / "x")
    partial.restart('"v1"')
    with partial.writing():
        partial.write(b"x" * 100)
    answer = httpx2.Response(206, headers={"content-range": answered, "etag": '"v1"'})
    with pytest.raises(PassingError, match="another part"):
        _begin(answer, partial, 100)
    assert (partial.size, partial.mark, (tmp_path / "x").stat().st_size) == (0, "", 0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("9" * 500, 3600.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_patience_that_is_asked_for(value, seconds):
    assert _wait(value) == seconds


def test_a_partial_that_was_whole_is_not_fetched_again(archive, fetch, one, monkeypatch):
    """Killed between the last byte and the rename."""
    from cxr_lightning.download import partial

    monkeypatch.setattr(partial, "WORTH_KEEPING", 1000)
    become = partial.Partial.become

    def die(self, target, mode):
        if target.name.endswith(".jpg"):
            raise KeyboardInterrupt
        become(self, target, mode)

    monkeypatch.setattr(partial.Partial, "become", die)
    with pytest.raises(KeyboardInterrupt):
        fetch(only="*.jpg")
    monkeypatch.setattr(partial.Partial, "become", become)
    assert tree(fetch(only="*.jpg")) == {IMAGE: archive.files[one]}
    assert archive.sent <= len(archive.files[one]) + 1000
