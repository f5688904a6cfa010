"""The same losses for every ZeRO stage, number of ranks and layout, and the same as last month."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.fitting import gradient_norms, losses, options, run_ranks
from tests.golden import plain
from tests.golden.studies import make_parts, make_shards

GOLDEN = Path(__file__).parent
STEPS = 20
FIXED = ["--data.epochs", "4", "--trainer.max_steps", str(STEPS), "--model.optim.lr", "0.002"]
# A rate as in practice: Adam divides gradients by their own size, so that far above it rounding noise grows to 5e-5.
CHECKPOINTED = ["--model.compute.activation_checkpointing", "[language,vision]"]
TOLERANCE = 1e-5
"""Absolute, in nats: the order in which ranks add float32 numbers is all that may differ."""


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """Loss curves of every layout that must agree, by stage and name."""
    folder = tmp_path_factory.mktemp("golden")
    shards, parts = make_shards(folder / "studies"), make_parts(folder / "parts")

    def fit(stage: int, name: str, ranks: int, *extra: str) -> list[str]:
        run = folder / f"stage{stage}-{name}"
        base = options(stage, shards, run, parts if stage == 1 else None)
        start = ["--model.init_from", str(folder / "stage1-zero2")] if stage == 2 else []
        return [*base, *start, *FIXED, "--trainer.devices", str(ranks), *extra]

    def zero(stage: int) -> list[str]:
        return ["--config", f"configs/zero/stage{stage}.yaml"]

    two = [fit(1, f"zero{z}", 2, *zero(z)) for z in (2, 1, 3)]
    two += [fit(2, f"zero{z}", 2, *zero(z)) for z in (2, 1, 3)]
    two += [fit(2, "padded", 2, "--data.layout", "padded"), fit(2, "accumulated", 2, "--data.micro_batch", "1")]
    two += [fit(2, "whole", 2, "--data.micro_batch", "4"), fit(2, "zero0", 2, *zero(0))]
    two += [fit(2, "budget", 2, "--data.row_tokens", "192", "--data.max_tokens", "160")]
    two += [fit(2, "checkpointed", 2, *CHECKPOINTED), fit(2, "checkpointed-zero3", 2, *zero(3), *CHECKPOINTED)]
    two += [fit(2, f"workers{n}", 2, "--data.workers", str(n)) for n in (1, 2, 3, 4)]
    one = [fit(stage, "one-rank", 1) for stage in (1, 2)]
    run_ranks(2, two, folder)
    run_ranks(1, one, folder)
    run_ranks(4, [fit(stage, "four-ranks", 4) for stage in (1, 2)], folder)
    norms = {f"{path.name} norms": gradient_norms(path) for path in folder.glob("stage*")}
    return {**{path.name: losses(path) for path in folder.glob("stage*")}, **norms}


@pytest.mark.ranks
@pytest.mark.parametrize("stage", [1, 2])
def test_losses_are_the_golden_ones(curves, stage):
    golden = [
        line.split() for line in (GOLDEN / f"stage{stage}.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert len(golden) == STEPS
    for step, loss in golden:
        assert math.isclose(curves[f"stage{stage}-zero2"][int(step)], float(loss), abs_tol=TOLERANCE), (step, loss)


@pytest.mark.ranks
@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("other", ["zero1", "zero3", "one-rank", "four-ranks"])
def test_losses_do_not_depend_on_zero_or_ranks(curves, stage, other):
    here, there = curves[f"stage{stage}-zero2"], curves[f"stage{stage}-{other}"]
    assert len(here) == len(there) == STEPS
    assert max(abs(here[step] - there[step]) for step in here) < TOLERANCE


@pytest.mark.ranks
@pytest.mark.parametrize("other", ["padded", "accumulated", "whole", "budget", "zero0", "checkpointed-zero3"])
def test_losses_do_not_depend_on_layout(curves, other):
    here, there = curves["stage2-zero2"], curves[f"stage2-{other}"]
    assert max(abs(here[step] - there[step]) for step in here) < TOLERANCE


@pytest.mark.ranks
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_workers_change_no_bit(curves, workers):
    assert curves["stage2-zero2"] == curves[f"stage2-workers{workers}"]
    assert curves["stage2-zero2 norms"] == curves[f"stage2-workers{workers} norms"]


@pytest.mark.ranks
def test_checkpointed_activations_change_no_bit(curves):
    assert curves["stage2-zero2"] == curves["stage2-checkpointed"]
    assert curves["stage2-zero2 norms"] == curves["stage2-checkpointed norms"]


@pytest.mark.ranks
def test_the_loss_is_that_of_a_plain_hugging_face_loop(curves, tmp_path):
    shards, parts = make_shards(tmp_path / "studies"), make_parts(tmp_path / "parts")
    theirs = plain.losses(shards, parts, steps=STEPS, rate=0.002, least=0.1, size=8)
    ours = curves["stage1-zero2"]
    assert max(abs(ours[step] - theirs[step]) for step in theirs) < TOLERANCE


@pytest.mark.ranks
def test_what_learns_moves_the_loss(curves):
    # A golden file of constants would pass everything above; the loss must fall.
    curve = curves["stage2-zero2"]
    assert curve[STEPS] < curve[1] - 0.03


@pytest.mark.ranks
@pytest.mark.parametrize("other", ["accumulated", "whole", "budget", "one-rank", "padded", "zero0", "zero3"])
def test_gradients_do_not_depend_on_how_a_batch_is_divided(curves, other):
    # Adam divides gradients by their size, so the losses above would agree even if all gradients were four times too
    # small; clipping would not.
    here, there = curves["stage2-zero2 norms"], curves[f"stage2-{other} norms"]
    assert all(math.isclose(here[step], there[step], rel_tol=1e-3) for step in range(1, STEPS + 1))
