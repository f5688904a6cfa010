"""Lines that are on disk before whoever added them goes on, whatever kills the process."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_lightning.endpoint.ledger import Ledger, LedgerBusyError

pytestmark = pytest.mark.quick


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """A disk on which no more than a few letters go into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 5, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_threads_that_add_at_once_lose_nothing_and_know_where_it_stands(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(1) or sync(descriptor))
    places = dict[int, int]()
    with Ledger(tmp_path / "lines") as ledger:

        def add(first: int) -> None:
            for number in range(first, first + 50):
                places[number] = ledger.add({"n": number, "text": "\u2028" * (number % 7)})
                assert len(synced) > 0

        threads = [threading.Thread(target=add, args=(first,)) for first in range(0, 400, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(ledger.line(at)["n"] == number for number, at in places.items())
        assert {line["n"] for _, line in ledger.lines()} == set(range(400))
        assert all(places[line["n"]] == at for at, line in ledger.lines())
    assert len(synced) <= 401  # threads share one wait


def test_half_a_line_spoils_no_other_and_places_stay_right(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b'{"n": 0}\n\xff\n[1]\n{"n": 1, "tex')
    with Ledger(file) as ledger:
        at = ledger.add({"n": 2})
        assert ledger.line(at) == {"n": 2}
        assert [line["n"] for _, line in ledger.lines()] == [0, 2]


def test_nobody_else_writes_meanwhile_and_what_comes_after_the_end_is_not_kept(tmp_path):
    with Ledger(tmp_path / "lines", 0o600) as ledger:
        with pytest.raises(LedgerBusyError, match="another process"):
            Ledger(tmp_path / "lines")
        ledger.add({"n": 0})
    assert ledger.add({"n": 1}) == -1
    ledger.close()
    with Ledger(tmp_path / "lines") as again:
        assert [line["n"] for _, line in again.lines()] == [0]
    assert (tmp_path / "lines").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_told_to_all_and_leaves_what_was_kept(tmp_path):
    file = tmp_path / "lines"
    with pytest.raises(OSError, match=r"kept. Remedy: make room"), Ledger(file) as ledger:  # noqa: PT012
        ledger.add({"n": 0})
        with full_disk(file):
            for number in (1, 2):
                with pytest.raises(OSError, match=r"kept. Remedy: make room"):
                    ledger.add({"n": number})
    assert file.read_bytes() == b'{"n": 0}\n'
