"""The cache is bounded at any moment, shared by processes, and survives whoever dies in it."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.stream.cache import CacheError, RunCache

pytestmark = pytest.mark.quick


def content(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def used(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # of another process, finished meanwhile
            total += path.stat().st_size if path.name != "used" else 0
    return total


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 99)), min_size=1, max_size=60), st.integers(150, 1000))
def test_what_is_read_is_what_was_fetched_and_the_limit_holds(tmp_path_factory, reads, limit):
    cache = RunCache(tmp_path_factory.mktemp("cache") / "runs", limit)
    for number, offset in reads:
        name, size = f"run{number}", 100 + 10 * (number % 3)
        part = cache.read(name, size, offset, 5, lambda name=name, size=size: content(name, size))
        assert part == content(name, size)[offset : offset + 5]
        assert used(cache.folder) <= limit


def test_what_was_read_last_stays(tmp_path):
    cache, fetched = RunCache(tmp_path / "runs", 1000), []

    def read(name: str) -> None:
        cache.read(name, 300, 0, 1, lambda: fetched.append(name) or content(name, 300))
        time.sleep(0.005)

    for name in ("a", "b", "c", "a", "d", "a", "b"):
        read(name)
    assert fetched == ["a", "b", "c", "d", "b"]


def test_threads_fetch_a_run_once(tmp_path):
    cache, fetched = RunCache(tmp_path / "runs", 10_000), []

    def fetch() -> bytes:
        fetched.append(1)
        time.sleep(0.1)
        return content("a", 100)

    readers = [threading.Thread(target=cache.read, args=("a", 100, 0, 9, fetch)) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(fetched) == 1


def _read_all(folder: Path, log: Path, seed: int) -> None:
    cache = RunCache(folder, 2000)
    order = [f"run{number}" for number in range(12)] * 3
    random.Random(seed).shuffle(order)
    for name in order:

        def fetch(name: str = name) -> bytes:
            with log.open("a") as file:
                file.write(f"{name}\n")
            return content(name, 150)

        assert cache.read(name, 150, 10, 20, fetch) == content(name, 150)[10:30]
        assert used(folder) <= 2000


def test_processes_share_it(tmp_path):
    log = tmp_path / "log"
    started = [
        multiprocessing.get_context("fork").Process(target=_read_all, args=(tmp_path / "runs", log, seed))
        for seed in range(4)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    assert sorted(log.read_text().split()) == sorted(f"run{number}" for number in range(12))


def _die(folder: Path) -> None:
    RunCache(folder, 1000).read("a", 400, 0, 1, lambda: os._exit(9))  # type: ignore[arg-type,return-value]


def test_a_killed_process_leaves_nothing_in_the_way(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_die, args=(tmp_path / "runs",))
    process.start()
    process.join()
    assert process.exitcode == 9
    cache = RunCache(tmp_path / "runs", 1000)
    assert cache.read("a", 400, 0, 2, lambda: content("a", 400)) == content("a", 400)[:2]
    _ = [cache.read(name, 400, 0, 2, lambda name=name: content(name, 400)) for name in "bcd"]
    assert used(cache.folder) <= 1000
    assert not list(cache.folder.glob("*.partial"))


def test_a_failed_fetch_leaves_nothing(tmp_path):
    cache = RunCache(tmp_path / "runs", 1000)

    def fail() -> bytes:
        raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        cache.read("a", 100, 0, 1, fail)
    assert [path.name for path in cache.folder.iterdir()] == ["used"]
    assert cache.read("a", 100, 0, 3, lambda: content("a", 100)) == content("a", 100)[:3]


def test_a_run_larger_than_the_cache_and_a_full_disk_are_no_reason_to_stop(tmp_path, monkeypatch, caplog):
    """Then runs cannot be kept, and the reader asks for samples alone: a whole run for each would be 64 transfers."""
    cache = RunCache(tmp_path / "runs", 50)
    assert cache.read("a", 100, 7, 3, lambda: content("a", 100)) is None
    assert used(cache.folder) == 0
    cache = RunCache(tmp_path / "runs", 1000)
    fetched = []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fetch(name):
        fetched.append(name)
        return content(name, 100)

    monkeypatch.setattr("cxr_lightning.stream.cache._write", full)
    assert cache.read("a", 100, 7, 3, lambda: fetch("a")) == content("a", 100)[7:10]
    for name in "abcb":
        assert cache.read(name, 100, 7, 3, lambda name=name: fetch(name)) is None
    assert fetched == ["a"]
    assert caplog.text.count("No space left on device") == 1


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"--data\.cache"):
        RunCache(tmp_path / "file" / "runs", 1000)
    with pytest.raises(CacheError, match="cache_gb"):
        RunCache(tmp_path / "runs", 0)
    made = RunCache(tmp_path / "mine" / "runs", 1).folder
    assert made.stat().st_mode & 0o777 == made.parent.stat().st_mode & 0o777 == 0o700


def test_what_others_made_or_may_write_is_not_used(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o700)
    (tmp_path / "runs").chmod(0o777)
    with pytest.raises(CacheError, match="not a folder of yours alone"):
        RunCache(tmp_path / "runs", 1000)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "runs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="not a folder of yours alone"):
        RunCache(tmp_path / "other" / "runs", 1000)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_root_too_refuses_a_folder_of_another_user(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o700)
    os.chown(tmp_path / "runs", 1234, 1234)
    with pytest.raises(CacheError, match="not a folder of yours alone"):
        RunCache(tmp_path / "runs", 1000)


def test_a_broken_disk_makes_no_sample_bad(tmp_path, monkeypatch):
    cache = RunCache(tmp_path / "runs", 1000)
    assert cache.read("a", 100, 7, 3, lambda: content("a", 100)) == content("a", 100)[7:10]

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    assert cache.read("a", 100, 7, 3, lambda: content("a", 100)) == content("a", 100)[7:10]
