"""A loss or gradient that is not finite on one rank: all ranks skip the step, or stop; nothing of it stays behind."""

from __future__ import annotations

import json
import math

import pytest
import torch

from cxr_lightning.checkpoint import position
from cxr_lightning.checkpoint.runs import checkpoint_folder
from cxr_lightning.training.nonfinite import _micro
from cxr_lightning.training.window import LossSums
from tests.training.undisturbed import arguments, curve

EVERY = ("--checkpoint.every_n_steps", "1", "--checkpoint.keep", "9", "--validate_every_n_steps", "9")


def tensors(checkpoint):
    """Weights, averages and masters of a checkpoint, as bytes."""
    return {path.name: path.read_bytes() for path in checkpoint.glob("*.safetensors")}


def bad_step(on: int, *steps: int):
    return [["poison", {"on": on, "steps": list(steps)}]]


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("zero", "precision", "again"),
    [
        ("0", "32-true", True),  # torch's own optimizer; the others are DeepSpeed's
        ("0", "bf16-true", False),
        ("1", "32-true", False),
        ("2", "bf16-true", True),
        ("3", "32-true", False),
        ("3", "bf16-true", True),
    ],
)
def test_a_step_that_is_not_finite_on_one_rank_changes_nothing_on_any(zygote, place, zero, precision, again):
    """Two micro-batches a step: what the first left in the gradients goes with it, also for the step after."""
    root, name = place[0], f"{zero} in {precision}"
    kind = ("--trainer.strategy.stage", zero, "--trainer.precision", precision)
    log = root / f"{name}.log"
    group = zygote.start(arguments(place, name, 3, *EVERY, *kind), 2, log, faults=bad_step(1, 2))
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    first, second, third = (checkpoint_folder(root / name, step) for step in (1, 2, 3))
    assert tensors(second) == tensors(first)
    assert tensors(third) != tensors(first)
    where = [position.read(each)["optimizer"]["step"] for each in (first, second, third)]
    assert where == [1, 1, 2]
    (line,) = map(json.loads, (root / name / "nonfinite.jsonl").read_text().splitlines())
    assert (line["step"], line["ranks"], len(line["keys"])) == (2, [1], 8)
    assert set(line["bad"]) < set(line["keys"])
    figures = {each["step"]: each for each in curve(root / name) if "train/lr" in each}
    assert "train/loss" not in figures[2]
    assert "train/grad_norm" not in figures[2]
    assert all(math.isfinite(value) for each in figures.values() for value in each.values())
    assert [each.get("train/skipped_steps") for each in figures.values()] == [None, 1, 1]
    assert f"step 2 skipped: the loss is not finite on rank 1 (samples {line['bad'][0]}" in log.read_text()
    assert "1 of 3 steps were skipped" in log.read_text()
    if not again:
        return
    # What a fresh process does from the skipped step on is what this one did: nothing was left in it.
    more = ("--ckpt_path", str(second))
    group = zygote.start(arguments(place, f"{name} again", 3, *EVERY, *kind, *more), 2, log)
    assert zygote.wait(group) == [0, 0], log.read_text()[-3000:]
    assert tensors(checkpoint_folder(root / f"{name} again", 3)) == tensors(third)
    assert curve(root / f"{name} again")[0] == figures[3]


@pytest.mark.ranks
def test_too_many_in_a_row_stop_all_ranks_and_the_count_outlives_a_resume(zygote, place):
    root, name = place[0], "too many"
    few = ("--nonfinite.in_a_row", "1")
    log = root / f"{name}.log"
    faults = [["spoil", {"on": 0, "steps": [2]}], ["poison", {"on": 1, "steps": [3], "value": math.inf}]]
    group = zygote.start(arguments(place, name, 5, *EVERY, *few), 2, log, faults=faults)
    assert zygote.wait(group) == [1, 1]
    told = log.read_text()
    assert "step 2 skipped: the gradient is not finite, though all losses are" in told
    assert "NonfiniteError: Step 3: the loss is not finite on rank 1" in told
    assert "That makes 2 in a row and 2 in all; --nonfinite.in_a_row allows 1, " in told
    # It goes on from step 2, with one skipped; another, right after it, is one too many again.
    group = zygote.start(arguments(place, name, 5, *EVERY, *few), 2, log, faults=bad_step(0, 3))
    assert zygote.wait(group) == [1, 1]
    assert "Step 3: the loss is not finite on rank 0" in log.read_text()
    lines = [json.loads(line) for line in (root / name / "nonfinite.jsonl").read_text().splitlines()]
    assert [(line["step"], line["ranks"]) for line in lines] == [(2, []), (3, [0])]


@pytest.mark.quick
def test_the_sample_is_named_and_not_its_neighbours():
    outputs = {"loss_sum": torch.tensor(math.nan), "each_S": torch.tensor([1.0, 2.0, math.nan, 1.0, 0.5])}
    assert _micro(3, ["a", "b", "c"], [2, 2, 1], outputs) == (3, ["a", "b", "c"], ["b"], False)
    outputs["each_S"] = torch.tensor([])  # a loss that does not tell its tokens apart
    assert _micro(3, ["a"], [2], outputs) == (3, ["a"], [], False)


@pytest.mark.quick
def test_the_loss_of_a_skipped_step_is_not_in_the_curve():
    sums = LossSums(2, torch.device("cpu"))
    batch = {"supervised": [2, 1], "sources": [0, 1]}
    good = {"loss_sum": torch.tensor(3.0), "each_S": torch.ones(3)}
    sums.add(good, batch)
    sums.mark()
    sums.add({"loss_sum": torch.tensor(math.nan), "each_S": torch.full((3,), math.nan)}, batch)
    sums.back()
    sums.add(good, batch)
    assert sums._values_V.tolist() == [6, 0, 0, 4, 2]
    assert sums._supervised_K.tolist() == [4, 2]
