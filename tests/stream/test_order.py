"""Order is a pure function, exact over epochs, blind to ranks, and shuffles shards thoroughly though it reads runs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.stream.order import (
    BatchArithmeticError,
    Batches,
    Order,
    TooFewSamplesError,
    accumulation,
)

pytestmark = pytest.mark.quick
lengths = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any)
sizes = st.integers(1, 80)


@given(lengths, sizes, sizes, st.integers(1, 64), st.integers(0, 2**31), st.integers(1, 4))
def test_every_sample_once_an_epoch(shards, run, window, global_batch, seed, epochs):
    order = Order(shards, seed, run, window)
    batches, places = Batches(order, global_batch), sum(shards) * epochs
    steps = -(-places // global_batch)
    seen = np.concatenate([batches.batch(step) for step in range(steps)])[:places]
    for epoch in np.split(seen, epochs):
        assert sorted(epoch) == list(range(sum(shards)))


@given(lengths, sizes, sizes, st.data())
def test_a_stretch_is_the_same_wherever_it_is_entered(shards, run, window, data):
    order = Order(shards, 3, run, window)
    whole = order.take(0, 3 * order.samples)
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    assert np.array_equal(Order(shards, 3, run, window).take(first, last), whole[first:last])


@given(lengths, sizes, sizes)
def test_a_window_holds_whole_runs_and_no_more_than_its_size_and_a_run(shards, run, window):
    order = Order(shards, 0, run, window)
    laid = order._epoch(0)
    assert np.diff(laid.window_place_W).max() <= window + run
    assert sorted(laid.runs_R) == list(range(len(order.run_first_R)))
    assert order.run_length_R.max() <= run


def test_one_window_is_a_uniform_permutation():
    # The very draws of a plain permutation: what was trained on small sets before runs were read is seen again.
    for epoch in range(3):
        plain = np.random.Generator(np.random.Philox(key=[5, epoch])).permutation(1000)
        assert np.array_equal(Order([400, 600], 5).take(epoch * 1000, epoch * 1000 + 1000), plain)


def test_epochs_and_seeds_differ():
    for window in (500, 100):
        order = Order([500], 0, 10, window)
        assert not np.array_equal(order.take(0, 500), order.take(500, 1000))
        assert not np.array_equal(order.take(0, 500), Order([500], 1, 10, window).take(0, 500))


def distances(order):
    """Returns how far apart in an epoch's sequence two neighbours in a shard come."""
    place = np.empty(order.samples, dtype=np.int64)
    place[order.take(0, order.samples)] = np.arange(order.samples)
    return np.abs(np.diff(place))


def test_neighbours_in_a_shard_do_not_stay_neighbours():
    # 200,000 samples in shards of 1,000. Neighbours share a run, so they lie in one window: a third of it apart on
    # average, as any two of it, and in one global batch of 128 as often as any two of it.
    order = Order(np.full(200, 1000), 0)
    apart = distances(order)
    within = order.samples / order.windows
    assert 0.95 < np.median(apart) / (within * (1 - 0.5**0.5)) < 1.05
    assert np.mean(apart < 128) < 2.2 * 128 / within
    assert np.mean(apart == 1) < 4 / within


def test_a_million_samples_cost_little():
    tracemalloc.start()
    batches = Batches(Order(np.full(1000, 1000), 0), 128)
    batches.batch(7000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_arithmetic_is_explained():
    assert accumulation(64, 4, 8) == 2
    with pytest.raises(BatchArithmeticError, match="multiple of 48"):
        accumulation(64, 6, 8)
    with pytest.raises(TooFewSamplesError, match="global_batch"):
        Batches(Order([7], 0), 8).steps(1)
    with pytest.raises(TooFewSamplesError, match="no samples"):
        Order([0, 0], 0)
    with pytest.raises(ValueError, match="shuffle_run"):
        Order([7], 0, run=0)
