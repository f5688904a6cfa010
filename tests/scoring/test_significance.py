from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.labels import micro_f1
from cxr_lightning.scoring.significance import benjamini_hochberg, holm, permutation_test

pytestmark = pytest.mark.quick

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def rows(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], axis=1)


def counts(draw: np.random.Generator, studies: int) -> np.ndarray:
    return draw.integers(0, 3, (studies, 4, 3)).astype(float)


def by_enumeration(first: np.ndarray, second: np.ndarray, score_of, patients: list[int]) -> float:
    """The p value by the book: every patient's answers exchanged or not, nothing clever."""
    found = abs(score_of(first.sum(0)[None])[0] - score_of(second.sum(0)[None])[0])
    names = sorted(set(patients))
    reached = []
    for swaps in product([False, True], repeat=len(names)):
        swapped = np.array([swaps[names.index(patient)] for patient in patients])
        one, two = first.copy(), second.copy()
        one[swapped], two[swapped] = second[swapped], first[swapped]
        reached.append(abs(score_of(one.sum(0)[None])[0] - score_of(two.sum(0)[None])[0]) >= found - 1e-10)
    return float(np.mean(reached))


@pytest.mark.parametrize("seed", range(8))
def test_few_patients_are_tried_in_every_way(seed: int) -> None:
    draw = np.random.default_rng(seed)
    patients = draw.integers(0, 7, 12).tolist()
    first, second = counts(draw, 12), counts(draw, 12)
    chance = permutation_test(first, second, micro_f1, patients=patients)
    assert chance.exact
    assert chance.p == pytest.approx(by_enumeration(first, second, micro_f1, patients))


def test_drawing_comes_near_enumerating() -> None:
    draw = np.random.default_rng(3)
    first, second = rows(draw.random(13)), rows(draw.random(13))
    exact = permutation_test(first, second, ratio_of_sums)
    drawn = permutation_test(first, second, ratio_of_sums, draws=4000)
    assert exact.exact
    assert not drawn.exact
    assert (exact.exchanges, drawn.exchanges) == (2**12, 4000)
    assert drawn.p == pytest.approx(exact.p, abs=0.03)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    found = []
    for seed in range(400):
        draw = np.random.default_rng(seed)
        first, second = rows(draw.normal(0, 1, 30)), rows(draw.normal(0, 1, 30))
        found.append(permutation_test(first, second, ratio_of_sums, draws=199, seed=seed).p)
    steps = np.linspace(0.05, 0.95, 19)
    shares = [(np.array(found) <= step).mean() for step in steps]
    assert np.abs(np.array(shares) - steps).max() < 0.07, "Kolmogorov-Smirnov at 400 draws"
    assert shares[0] < 0.08


@pytest.mark.parametrize("shift", [0.8, -0.8])
def test_a_shift_is_seen_on_either_side(shift: float) -> None:
    seen = 0
    for seed in range(50):
        draw = np.random.default_rng(seed)
        first = draw.normal(0, 1, 40)
        second = first + draw.normal(shift, 1, 40)
        seen += permutation_test(rows(first), rows(second), ratio_of_sums, draws=499, seed=seed).p <= 0.05
    assert seen >= 45


def test_copies_of_a_patient_add_no_certainty() -> None:
    draw = np.random.default_rng(0)
    first, second = rows(draw.random(10)), rows(draw.random(10) + 0.2)
    patients = [number // 5 for number in range(50)]
    alone = permutation_test(first, second, ratio_of_sums)
    copied = permutation_test(first.repeat(5, axis=0), second.repeat(5, axis=0), ratio_of_sums, patients=patients)
    assert copied.p == alone.p
    blind = permutation_test(first.repeat(5, axis=0), second.repeat(5, axis=0), ratio_of_sums)
    assert blind.p < alone.p, "what it would say if films were patients"


def test_two_sides_are_one_question() -> None:
    draw = np.random.default_rng(1)
    first, second = counts(draw, 9), counts(draw, 9)
    assert permutation_test(first, second, micro_f1).p == permutation_test(second, first, micro_f1).p


@given(st.integers(1, 20), st.integers(1, 4))
def test_equal_models_differ_by_nothing(studies: int, patients: int) -> None:
    same = counts(np.random.default_rng(studies), studies)
    chance = permutation_test(same, same, micro_f1, patients=[number % patients for number in range(studies)])
    assert chance.p == 1.0
    assert chance.exact


@given(st.integers(1, 30))
def test_one_patient_shows_nothing(studies: int) -> None:
    draw = np.random.default_rng(studies)
    chance = permutation_test(
        counts(draw, studies), counts(draw, studies), micro_f1, patients=["one"] * studies, draws=100
    )
    assert chance.p == 1.0, "one patient can be exchanged in one way"


def test_no_number_is_no_difference() -> None:
    first, second = rows(np.array([1.0, 2.0, 3.0])), rows(np.array([4.0, 4.0, 4.0]))
    assert permutation_test(first, second, lambda sums: sums[:, 0] * np.nan).p == 1.0


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="same studies"):
        permutation_test(np.ones((3, 2)), np.ones((2, 2)), ratio_of_sums)
    with pytest.raises(ValueError, match="no studies"):
        permutation_test(np.ones((0, 2)), np.ones((0, 2)), ratio_of_sums)


def test_corrections_are_those_of_the_papers() -> None:
    # Benjamini and Hochberg 1995, section 3.2: 4 of 15 are rejected by theirs, 3 by Bonferroni's and Holm's.
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
        0.7590, 1.0,
    ]  # fmt: skip
    assert (holm(p) <= 0.05).sum() == 3
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([]).tolist() == benjamini_hochberg([]).tolist() == []


@given(CHANCES)
def test_corrections_by_their_definitions(p: list[float]) -> None:
    count = len(p)
    ranked = sorted(range(count), key=lambda at: (p[at], at))
    by_holm, by_hochberg = holm(p), benjamini_hochberg(p)
    for place, at in enumerate(ranked):
        assert by_holm[at] == pytest.approx(
            min(1, max(p[other] * (count - before) for before, other in enumerate(ranked[: place + 1])))
        )
        assert by_hochberg[at] == pytest.approx(
            min(1, *(p[other] * count / (place + after + 1) for after, other in enumerate(ranked[place:])))
        )


@given(CHANCES, st.randoms())
def test_corrections_do_not_depend_on_order(p: list[float], random) -> None:
    order = list(range(len(p)))
    random.shuffle(order)
    for correct in (holm, benjamini_hochberg):
        assert correct([p[at] for at in order]).tolist() == pytest.approx(correct(p)[order].tolist())
        assert (correct(p) >= np.array(p) - 1e-12).all()
