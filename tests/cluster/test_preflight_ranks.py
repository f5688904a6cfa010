"""Several ranks of one machine look together; one that is lost meanwhile is named, and the others end."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from cxr_lightning.cluster.port import free_port
from cxr_lightning.cluster.preflight import verb
from cxr_lightning.cluster.preflight.session import Session
from tests.fitting import ROOT, options

pytestmark = pytest.mark.ranks


def _rank(number: int, port: int, arguments: list[str], output: Path, lost: bool) -> None:
    os.chdir(ROOT)
    os.setpgid(0, 0)
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    file = os.open(output, os.O_WRONLY | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    sys.stdout, sys.stderr = (os.fdopen(each, "w", closefd=False) for each in (1, 2))  # not those that pytest captures
    if lost and number == 1:
        Session.near = lambda *_: os._exit(9)  # type: ignore[method-assign,assignment]
    code = 3
    try:
        verb.preflight(arguments)
        code = 0
    except SystemExit as ending:
        code = int(ending.code or 0)
    finally:
        os._exit(code)


def look(tmp_path: Path, arguments: list[str], *, lost: bool = False) -> tuple[list[int | None], list[str]]:
    """Returns exit statuses, and what each rank said."""
    port, outputs = free_port(), [tmp_path / f"told-{number}" for number in (0, 1)]
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=_rank, args=(number, port, arguments, output, lost))
        for number, output in enumerate(outputs)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    return [rank.exitcode for rank in ranks], [output.read_text() for output in outputs]


@pytest.fixture
def arguments(shards, parts, tmp_path) -> list[str]:
    report = ["--preflight.json", str(tmp_path / "report.json")]
    return [*options(1, shards, tmp_path / "run", parts), "--trainer.devices", "2", *report]


def test_two_ranks_of_one_node(arguments, tmp_path):
    codes, told = look(tmp_path, arguments)
    assert codes == [0, 0], told
    assert "1 node, 2 ranks" in told[0]
    assert told[1] == ""
    (found,) = json.loads((tmp_path / "report.json").read_text())["nodes"].values()
    assert found["all-reduce"]["figures"]["bus_bytes_per_second"] > 0
    assert found["launch"]["told"] == "2 by torchrun"


def test_ranks_that_the_configuration_does_not_expect_are_refused(arguments, tmp_path):
    codes, told = look(tmp_path, [*arguments, "--trainer.devices", "4"])
    assert codes == [1, 1]
    assert "--trainer.num_nodes 1 x --trainer.devices 4 are 4 ranks, and torchrun started 2" in told[0]


def test_a_rank_that_is_lost_meanwhile_is_no_reason_to_wait_for_ever(arguments, tmp_path, monkeypatch):
    for name in ("NODE", "PAIR"):
        monkeypatch.setattr(f"cxr_lightning.cluster.preflight.gathering.{name}", 1.0)
    codes, told = look(tmp_path, arguments, lost=True)
    assert codes == [1, 9]
    assert "rank 1 came, and fell silent while the network was tried" in told[0]
    assert "Not ready" in told[0]
