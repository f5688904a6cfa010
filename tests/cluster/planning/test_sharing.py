"""What ranks hold and send by ZeRO stage: the figures of the ZeRO paper, and DeepSpeed's own defaults."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
from lightning.pytorch.strategies import DeepSpeedStrategy

from cxr_lightning.cluster.planning.gathering import DEEPSPEED, Limits, gather
from cxr_lightning.cluster.planning.ledger import Book, Ledger
from cxr_lightning.cluster.planning.outline import Sizes
from cxr_lightning.cluster.planning.sharing import Exchange, Sharing, held, sent_a_step
from cxr_lightning.training.zero import ZeroStrategy

pytestmark = pytest.mark.quick
MANY = 7_500_000_000
"""Parameters of the model in Figure 1 of Rajbhandari et al. (2020), on 64 GPUs."""
LEARNS = Sizes(frozen=0, groups=((MANY // 100,) * 100,), all=(MANY // 100,) * 100, saved=MANY, exported=MANY)


def default(function: object, name: str) -> object:
    return inspect.signature(function).parameters[name].default


def gradients(sharing: Sharing) -> int:
    """Returns the bytes of gradients when the backward pass ends."""
    book = Book(Ledger())
    exchange = Exchange(sharing, LEARNS, book)
    exchange.begin()
    for numbers in LEARNS.all:
        exchange.arrived(numbers)
    return book.worst()["gradients"]


@pytest.mark.parametrize(("stage", "published"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_what_is_held_is_what_the_paper_says(stage, published):
    sharing = Sharing(stage=stage, ranks=64, device="cpu" if stage == 1 else "cuda", bucket=1_000_000)
    always = held(sharing, LEARNS).device
    total = always["weights"] + always["optimizer"] + always["gradients"] + gradients(sharing)
    assert total / 1e9 == pytest.approx(published, rel=0.02)


def test_what_is_sent_is_what_rings_send():
    once = 2 * MANY * 63 / 64
    ways = {stage: Sharing(stage=stage, ranks=64, accumulation=4) for stage in (0, 1, 2, 3)}
    sent = {stage: sent_a_step(sharing, LEARNS, gathered=2 * MANY) / once for stage, sharing in ways.items()}
    # One all-reduce a step; one, and the new weights; one a micro-batch, and the new weights; all three, each time.
    assert sent == pytest.approx({0: 2, 1: 3, 2: 9, 3: 12})
    assert sent_a_step(Sharing(stage=2, ranks=1), LEARNS, 0) == 0


def test_offloading_moves_state_to_the_host_and_stage_0_does_not_hear_of_it():
    for stage in (1, 2, 3):
        kept, moved = (held(Sharing(stage=stage, offload_optimizer=on), LEARNS) for on in (False, True))
        assert moved.device["optimizer"] == 0
        assert moved.host["optimizer"] == kept.device["optimizer"]
    assert held(Sharing(stage=0, offload_optimizer=True), LEARNS) == held(Sharing(stage=0), LEARNS)
    moved = held(Sharing(stage=3, offload_optimizer=True, offload_parameters=True), LEARNS)
    assert (moved.device["weights"], moved.host["weights"]) == (0, 2 * MANY // 8)


def test_defaults_are_those_of_deepspeed_lightning_and_ours():
    own = DeepSpeedZeroConfig()
    assert Limits() == DEEPSPEED
    assert Limits(own.prefetch_bucket_size, own.max_live_parameters, own.max_reuse_distance, own.param_persistence_threshold) == DEEPSPEED  # fmt: skip # noqa: E501
    assert Sharing().sub_group == default(DeepSpeedStrategy.__init__, "sub_group_size")
    assert Sharing().bucket == 1_000_000 * default(ZeroStrategy.__init__, "bucket_mb")
    assert Sharing().stage == default(ZeroStrategy.__init__, "stage")
    assert len(fields(Limits)) == 4


def test_small_models_are_gathered_once_and_large_ones_twice():
    layers = [(number,) for number in range(40)]
    uses = [*layers, *reversed(layers)]
    small, large = [1_000_000] * 40, [100_000_000] * 40
    assert gather(uses, small).sent == sum(small)
    assert sum(small) <= gather(uses, small).most < 2 * sum(small)  # some lie in the buffer that they came in, too
    twice = gather(uses, large)
    assert sum(large) < twice.sent < 2 * sum(large)  # what lies within the reuse distance at the turn is kept
    assert twice.most < 1.2 * DEEPSPEED.live + 2 * 100_000_000


def test_what_stays_gathered_is_gathered_once():
    uses = [(0, 1), (2,), (0, 1)]
    few = Limits(prefetch=1, live=10**9, reuse=1, persist=5)
    found = gather(uses, [10, 5, 10], few)
    assert found.sent == 10 + 5 + 10 + 10
