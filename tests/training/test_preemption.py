"""A run that is asked to end, at any place and by any signal, ends there and goes on as if nothing had been."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from cxr_lightning.checkpoint import position
from cxr_lightning.checkpoint.attempts import attempts
from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.checkpoint.runs import newest_checkpoint, step_of
from tests.training.undisturbed import arguments, assert_same_end, curve, run_whole

pytestmark = pytest.mark.ranks

ASKED = [
    # where, how often it was called before, which rank hears it, what, and the exit status
    ("step", 1, 1, signal.SIGUSR1, 143),  # the first step
    ("validation", 1, 0, signal.SIGUSR2, 143),
    ("file", 1, 1, signal.SIGTERM, 143),  # in a save
    ("step", 3, 0, signal.SIGINT, 130),
    ("step", 2, 1, signal.SIGTERM, 143),
]


def made(seen: Path) -> Counter:
    """How often each rank made each of its micro-batches."""
    lines = [(file.name, json.loads(line)) for file in seen.glob("rank-*") for line in file.read_text().splitlines()]
    return Counter((rank, line["step"], line["batch"]) for rank, line in lines)


@pytest.mark.parametrize("stage", ["2", "3"])
def test_asked_to_end_anywhere_a_run_repeats_nothing_and_ends_alike(zygote, place, stage):
    steps, more = 14, ("--trainer.strategy.stage", stage)
    whole = run_whole(zygote, place, f"in one go, {stage}", steps, *more)
    root, name = place[0], f"asked, {stage}"
    log, seen = root / f"{name}.log", root / f"{name} seen"
    seen.mkdir()
    reached = []
    for at, call, rank, number, status in ASKED:
        asked = {"at": at, "call": call, "rank": rank, "number": number}
        group = zygote.start(arguments(place, name, steps, *more), 2, log, seen=str(seen), signal=asked)
        assert zygote.wait(group) == [status, status], (at, log.read_text()[-3000:])
        reached.append(step_of(newest_checkpoint(root / name)))
    assert sorted(set(reached)) == reached, "each attempt came further than the one before"
    group = zygote.start(arguments(place, name, steps, *more), 2, log, seen=str(seen))
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert_same_end(place, whole, root / name, steps)
    assert set(made(seen).values()) == {1}, "no step was made twice"
    told = [each.reason.split(":")[-1].strip() for each in attempts(root / name)]
    make_room = "a signal to make room (USR1 or USR2)"
    assert told == [make_room, make_room, "SIGTERM", "Ctrl-C", "SIGTERM", "done"]
    assert "The same command with --ckpt_path auto goes on from there." in log.read_text()


def test_asked_to_end_in_the_last_step_a_run_validates_and_is_done(zygote, place):
    root, log = place[0], place[0] / "last.log"
    asked = {
        "at": "step",
        "call": 11,
        "rank": 1,
        "number": signal.SIGUSR1,
    }  # the sixth step begins
    assert zygote.wait(zygote.start(arguments(place, "last", 6), 2, log, signal=asked)) == [0, 0], log.read_text()
    newest = newest_checkpoint(root / "last")
    assert step_of(newest) == 6
    assert not position.read(newest)["trainer"]["owes_validation"]
    assert validation_loss(newest) < 100
    assert zygote.wait(zygote.start(arguments(place, "last", 8), 2, log)) == [0, 0]  # and goes on without a second one
    validated = [line["step"] for line in curve(root / "last") if "validate/loss" in line]
    assert validated == [3, 6, 8]
