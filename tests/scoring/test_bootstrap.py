from __future__ import annotations

import numpy as np
import pytest

from cxr_lightning.scoring.bootstrap import interval, paired_difference, ratio_of_sums

pytestmark = pytest.mark.quick


def coins(seed: int, count: int, share: float = 0.3) -> np.ndarray:
    values = np.random.default_rng(seed).random(count) < share
    return np.stack([values, np.ones(count)], axis=1).astype(float)


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    scores = [interval(coins(seed, 200), ratio_of_sums, draws=300) for seed in range(100)]
    held = np.mean([score.low <= 0.3 <= score.high for score in scores])
    assert 0.87 <= held <= 1.0


def test_interval_is_that_of_the_normal_approximation() -> None:
    score = interval(coins(0, 1000), ratio_of_sums, draws=2000)
    half = 1.96 * (score.value * (1 - score.value) / 1000) ** 0.5
    assert score.n == 1000
    assert score.low == pytest.approx(score.value - half, abs=0.004)
    assert score.high == pytest.approx(score.value + half, abs=0.004)


def test_same_seed_same_interval() -> None:
    values = coins(0, 50) * np.random.default_rng(1).random((50, 1))
    assert interval(values, ratio_of_sums, seed=3) == interval(values, ratio_of_sums, seed=3)
    assert interval(values, ratio_of_sums, seed=3) != interval(values, ratio_of_sums, seed=4)


def test_copies_of_a_patient_add_no_certainty() -> None:
    once = coins(0, 40)
    copied = np.repeat(once, 10, axis=0)
    patients = [str(number // 10) for number in range(400)]
    clustered = interval(copied, ratio_of_sums, patients=patients)
    alone = interval(once, ratio_of_sums)
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high))
    assert clustered.n == 400


def test_pairing_sees_a_small_steady_gain() -> None:
    second = coins(0, 300)
    first = second.copy()
    first[:12, 0] = 1
    gain = paired_difference(first, second, ratio_of_sums)
    assert gain.excludes_zero
    assert gain.value > 0
    overlap = interval(first, ratio_of_sums).low < interval(second, ratio_of_sums).high
    assert overlap, "two intervals side by side would not have seen it"
    assert not paired_difference(first, first, ratio_of_sums).excludes_zero


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = interval(coins(0, 30), ratio_of_sums, draws=100)
    monkeypatch.setattr("cxr_lightning.scoring.bootstrap._BLOCK", 30 * 7)
    assert interval(coins(0, 30), ratio_of_sums, draws=100) == whole


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="no studies"):
        interval(np.zeros((0, 2)), ratio_of_sums)
    with pytest.raises(ValueError, match="3 studies need as many patients, found 2"):
        interval(np.ones((3, 2)), ratio_of_sums, patients=["a", "b"])
    with pytest.raises(ValueError, match="same studies"):
        paired_difference(np.ones((3, 2)), np.ones((2, 2)), ratio_of_sums)


def test_where_all_draws_say_the_same_the_interval_is_not_known() -> None:
    always = interval(np.array([[5.0, 1.0]] * 3), ratio_of_sums)
    assert (always.value, always.ends) == (5.0, [None, None])
    assert always.to_json() == {"value": 5.0, "low": None, "high": None, "n": 3}
    assert str(always) == "5.000 (n = 3)"
    rows = coins(0, 30)
    assert paired_difference(rows, rows, ratio_of_sums).ends == [None, None]
    assert not paired_difference(rows, rows, ratio_of_sums).excludes_zero


@pytest.mark.parametrize(("patients", "low"), [(1, 0.025), (10, 0.6915), (13, 0.7529)])
def test_a_share_of_one_or_none_has_an_exact_bound(patients: int, low: float) -> None:
    always = interval(np.ones((40, 2)), ratio_of_sums, patients=[str(n % patients) for n in range(40)])
    assert always.exact(patients).ends == pytest.approx([low, 1.0], abs=1e-4)
    never = interval(np.array([[0.0, 1.0]] * 40), ratio_of_sums).exact(patients)
    assert never.ends == pytest.approx([0.0, 1 - low], abs=1e-4)
    half = interval(coins(0, 40), ratio_of_sums)
    assert half.exact(patients) == half


def test_nothing_weighed_is_no_score() -> None:
    nothing = interval(np.zeros((5, 2)), ratio_of_sums)
    assert nothing.to_json() == {"value": None, "low": None, "high": None, "n": 5}
