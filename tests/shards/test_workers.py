"""Packing with several processes makes the very bytes that one process makes."""

from __future__ import annotations

import pytest

from cxr_lightning.shards.packing import TooManyFlaws, pack

from .tables import row, table_of, write_table
from .test_packing import contents, nothing_left


def test_workers_and_order_of_rows_do_not_show(tmp_path):
    rows = [row(number) for number in range(10)]
    write_table(tmp_path / "in", rows)
    pack("table", tmp_path / "in", out=tmp_path / "one", workers=1)
    write_table(tmp_path / "in", rows[::-1])
    pack("table", tmp_path / "in", out=tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_bad_study_stops_several_workers_too(tmp_path):
    table = table_of(tmp_path / "in")
    (table / "images" / "003.png").write_bytes(b"")
    with pytest.raises(TooManyFlaws, match=r"jsonl:4"):
        pack("table", table, out=tmp_path / "out", workers=2)
    assert nothing_left(tmp_path / "out")
