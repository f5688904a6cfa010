"""What all ranks would say is said once; what one rank has to say alone is heard, with its rank and node."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from cxr_lightning.training import voices
from tests.training.undisturbed import arguments

pytestmark = pytest.mark.ranks
ALONE = f"Rank 1 on {socket.gethostname()}: cxr fit: "


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (["--data.shards", "/nowhere"], 1, "cxr fit: /nowhere"),  # before the ranks know each other
        (["--no.such_option", "1"], 2, "no.such_option"),  # while arguments are parsed
        (["--model.compute.compile", "true", "--trainer.strategy.stage", "3"], 1, "cxr fit: --model.compute.compile"),
    ],
)
def test_what_all_refuse_is_told_once(zygote, place, more, status, told):
    log = place[0] / f"{more[0]}.log"
    group = zygote.start(arguments(place, more[0], 4, *more), 2, log, told=True)
    assert zygote.wait(group) == [status, status], log.read_text()
    assert log.read_text().count(told) == 1, log.read_text()
    assert "Rank 1" not in log.read_text()


@pytest.mark.parametrize("what", ["refusal", "fault"])
def test_a_rank_that_fails_alone_is_heard(zygote, place, what):
    log = place[0] / f"alone, {what}.log"
    more, told = {
        "refusal": ({"apart": {"1": ["--data.shards", "/nowhere"]}}, ALONE + "/nowhere"),
        "fault": ({"faults": [["fail", {"on": 1, "steps": [2]}]]}, "RuntimeError: nobody thought of this"),
    }[what]
    group = zygote.start(arguments(place, f"alone, {what}", 4), 2, log, told=True, **more)
    deadline = time.monotonic() + 120
    while told not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert told in log.read_text()
    assert ALONE in log.read_text()
    assert "TCPStore.cpp" not in log.read_text(), "it is not hidden among the library's own complaints"
    os.killpg(group, signal.SIGKILL)  # as srun does with those that are left
    zygote.wait(group)


@pytest.mark.quick
def test_nobody_to_meet_costs_seconds_and_no_word(monkeypatch, capsys):
    monkeypatch.setattr(voices, "_PATIENCE", 0.2)
    voices.tell("something", voices.Place(3, 8, "127.0.0.1", 1))
    assert capsys.readouterr().err == f"Rank 3 on {socket.gethostname()}: something\n"
    voices.tell("something", voices.Place(0, 8, "127.0.0.1", 1))
    assert capsys.readouterr().err == "something\n"
