"""A mixture keeps its shares exactly, each set in its own order, wherever it is entered."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.stream.mixture import Mixture, WeightError, quotas
from cxr_lightning.stream.order import Order

pytestmark = pytest.mark.quick
weights = st.lists(st.integers(1, 9) | st.floats(0.05, 1).map(lambda value: round(value, 2)), min_size=1, max_size=4)


def mixture(parts, seed=0):
    sizes = [30 + 170 * number for number in range(len(parts))]
    return Mixture([Order([size], seed, 8, 100, number) for number, size in enumerate(sizes)], parts, seed)


@given(weights)
def test_every_period_holds_the_shares(parts):
    mixed = mixture(parts)
    ends = np.cumsum([order.samples for order in mixed.orders])
    for period in (0, 1, 7):
        numbers = mixed.take(period * mixed.period, (period + 1) * mixed.period)
        seen = np.bincount(np.searchsorted(ends, numbers, side="right"), minlength=len(parts))
        assert seen.tolist() == mixed.quotas_K.tolist()
    total = sum(Fraction(str(part)) for part in parts)
    for quota, part in zip(mixed.quotas_K.tolist(), parts, strict=True):
        assert abs(quota - Fraction(str(part)) / total * mixed.period) < 1


@given(weights, st.integers(0, 99), st.integers(0, 4000), st.integers(0, 2000))
def test_a_stretch_is_the_same_wherever_it_is_entered(parts, seed, first, count):
    mixed = mixture(parts, seed)
    whole = mixed.take(0, 6_000)
    assert np.array_equal(mixture(parts, seed).take(first, first + count), whole[first : first + count])


@given(weights)
def test_each_set_goes_on_in_its_own_order(parts):
    mixed = mixture(parts)
    numbers = mixed.take(0, 3 * mixed.period)
    for order, first in zip(mixed.orders, mixed.first_number_K, strict=True):
        mine = numbers[(numbers >= first) & (numbers < first + order.samples)] - first
        assert np.array_equal(mine, order.take(0, len(mine)))


def test_passes_say_how_often_each_set_is_seen():
    mixed = Mixture([Order([100], 0), Order([1000], 0)], [1, 1], 0)
    assert mixed.passes(1000) == [5.0, 0.5]


def test_equal_sets_are_not_in_equal_order():
    assert not np.array_equal(Order([50], 0, number=0).take(0, 50), Order([50], 0, number=1).take(0, 50))


def test_exact_weights_stay_exact_and_odd_ones_are_rounded():
    assert quotas([3, 1]).tolist() == [750, 250]
    assert quotas([0.7, 0.2, 0.1]).tolist() == [700, 200, 100]
    assert quotas([1, 1, 1]).tolist() == [334, 334, 334]
    assert quotas([0.123457, 0.876543]).sum() == 10_000


@pytest.mark.parametrize("wrong", [[1, 0], [1, -1], [float("nan"), 1], [1, 1e-6], [float("inf"), 1]])
def test_weights_that_say_nothing_are_refused(wrong):
    with pytest.raises(WeightError, match="Remedy"):
        quotas(wrong)
