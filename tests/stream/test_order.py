"""Order is a pure function, exact over epochs, and blind to ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.stream.order import BatchArithmeticError, Order, TooFewSamplesError, accumulation, share

pytestmark = pytest.mark.quick


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 2**31), st.integers(1, 4))
def test_every_sample_once_an_epoch(samples, global_batch, seed, epochs):
    order = Order(samples, global_batch, seed)
    steps = -(-samples * epochs // global_batch)
    seen = np.concatenate([order.batch(step) for step in range(steps)])[: samples * epochs]
    for epoch in range(epochs):
        assert sorted(seen[epoch * samples : (epoch + 1) * samples]) == list(range(samples))


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]), st.integers(0, 9))
def test_ranks_share_the_same_global_batch(ranks, micro, step):
    batch = Order(1000, 64, 7).batch(step)
    shares = [np.concatenate(share(batch, micro, rank, ranks)) for rank in range(ranks)]
    assert sorted(np.concatenate(shares)) == sorted(batch)
    assert {len(part) for part in shares} == {64 // ranks}


def test_epochs_and_seeds_differ():
    order = Order(500, 500, 0)
    assert not np.array_equal(order.batch(0), order.batch(1))
    assert not np.array_equal(order.batch(0), Order(500, 500, 1).batch(0))


def test_neighbours_in_a_shard_do_not_stay_neighbours():
    batch = Order(10_000, 10_000, 0).batch(0)
    assert np.mean(np.abs(np.diff(batch)) == 1) < 0.01


def test_arithmetic_is_explained():
    assert accumulation(64, 4, 8) == 2
    with pytest.raises(BatchArithmeticError, match="multiple of 48"):
        accumulation(64, 6, 8)
    with pytest.raises(TooFewSamplesError, match="global_batch"):
        Order(7, 8, 0).steps(1)
