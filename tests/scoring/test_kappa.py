"""Kappas against tables worked in the literature, against the definition written out, and on wild answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.scoring.bootstrap import interval
from cxr_lightning.scoring.kappa import cohen, fleiss, many_rows, pair_rows

pytestmark = pytest.mark.quick

# Fleiss 1971's method on the example that textbooks share: ten subjects, fourteen raters, five categories.
FOURTEEN = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

answers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


def kappa_of(pairs, weights="none"):
    rows = pair_rows([one for one, _ in pairs], [other for _, other in pairs], 5)
    return cohen(rows.sum(axis=0, keepdims=True), weights)[0]


def written_out(pairs, distance):
    """Weighted kappa by its definition, pair by pair: disagreement seen, over that of every answer with every other."""
    seen = sum(distance(a, b) for a, b in pairs) / len(pairs)
    chance = sum(distance(a, b) for a, _ in pairs for _, b in pairs) / len(pairs) ** 2
    return 1 - seen / chance if chance else np.nan


def test_cohen_is_the_worked_example():
    table = np.array([[[20.0, 5.0], [10.0, 15.0]]])
    assert cohen(table)[0] == pytest.approx(0.4)
    assert cohen(table, "quadratic")[0] == pytest.approx(0.4)  # of two categories, none is farther than another


def test_fleiss_is_the_worked_example():
    given = [[k for k, count in enumerate(counts) for _ in range(count)] for counts in FOURTEEN]
    assert fleiss(many_rows(given, 5).sum(axis=0, keepdims=True))[0] == pytest.approx(0.20993, abs=1e-5)


@given(answers)
def test_weights_are_as_defined(pairs):
    for weights, distance in {
        "none": lambda a, b: float(a != b),
        "linear": lambda a, b: abs(a - b),
        "quadratic": lambda a, b: (a - b) ** 2,
    }.items():
        assert kappa_of(pairs, weights) == pytest.approx(written_out(pairs, distance), nan_ok=True)


@given(answers)
def test_kappa_knows_its_bounds(pairs):
    kappa = kappa_of(pairs)
    assert np.isnan(kappa) or kappa <= 1 + 1e-12
    assert kappa_of([(b, a) for a, b in pairs]) == pytest.approx(kappa, nan_ok=True)
    same = kappa_of([(a, a) for a, _ in pairs])
    assert np.isnan(same) if len({a for a, _ in pairs}) == 1 else same == pytest.approx(1)
    many = fleiss(many_rows(pairs, 5).sum(axis=0, keepdims=True))[0]
    assert np.isnan(many) or many <= 1 + 1e-12
    # Fleiss takes both raters for one who answers alike, and so never finds more agreement beyond chance than Cohen.
    assert np.isnan(many) or np.isnan(kappa) or many <= kappa + 1e-9


def test_an_interval_comes_by_patient():
    draw = np.random.default_rng(0)
    first = draw.integers(0, 2, 200)
    second = np.where(draw.random(200) < 0.8, first, 1 - first)
    score = interval(
        pair_rows(first.tolist(), second.tolist(), 2), cohen, patients=list(np.arange(200) // 2), draws=200
    )
    assert score.low < 0.6 < score.high
    assert score.low < score.value < score.high


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pair_rows([0], [0, 1], 2),
        lambda: pair_rows([0], [2], 2),
        lambda: many_rows([[0]], 2),
        lambda: many_rows([[0, 5]], 2),
    ],
)
def test_what_is_no_answer_is_refused(wrong):
    with pytest.raises(ValueError, match=r"categories|same things"):
        wrong()
