"""A pause is a pause: what goes on after it is the run that never stopped."""

from __future__ import annotations

import json

import pytest

from cxr_lightning.checkpoint.attempts import attempts
from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.checkpoint.runs import checkpoints, newest_checkpoint, open_run, step_of
from tests.training.undisturbed import arguments, assert_same_end, run_whole


@pytest.mark.ranks
def test_a_paused_run_goes_on_as_if_it_had_never_stopped(zygote, place):
    """Also where it is told to pause at a step that it has made already."""
    root, name, steps = place[0], "paused", 8
    whole = run_whole(zygote, place, "never paused", steps)
    log, seen = root / "paused.log", root / "paused seen"
    seen.mkdir()
    for step in (3, 3):
        pause = ("--pause_after_step", str(step))
        group = zygote.start(arguments(place, name, steps, *pause), 2, log, seen=str(seen))
        assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
        newest = newest_checkpoint(root / name)
        assert step_of(newest) == step
        assert validation_loss(newest) < 100
    assert open_run(root / name).provenance["data"]["steps"] == steps, "the schedule is that of all steps"
    assert f"Paused after step 3 of {steps}" in log.read_text()
    group = zygote.start(arguments(place, name, steps), 2, log, seen=str(seen))
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert_same_end(place, whole, root / name, steps)
    told = [each.reason for each in attempts(root / name)]
    assert told == [*(f"paused after step {step} of {steps}" for step in (3, 3)), "done"]


@pytest.mark.ranks
def test_a_pause_validates_and_saves_where_neither_is_due(zygote, place):
    root, name = place[0], "paused anywhere"
    log = root / f"{name}.log"
    group = zygote.start(arguments(place, name, 12, "--pause_after_step", "5"), 2, log)
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert step_of(checkpoints(root / name)[-1]) == 5
    lines = map(json.loads, (root / name / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "validate/loss" in line] == [3, 5]
