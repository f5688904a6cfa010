"""What a sweep tries, and how its trials are called."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.cluster.sweeps.space import Parameter, SpaceError, short_names, trials, value_text

pytestmark = pytest.mark.quick
LR, RANK = "model.init_args.optim.lr", "model.init_args.lora.rank"


def test_a_grid_is_every_combination():
    made = trials({LR: Parameter(grid=[1e-4, 1e-3]), RANK: Parameter(grid=[8, 16])}, 1, 0)
    assert [trial.values for trial in made] == [
        {LR: 1e-4, RANK: 8}, {LR: 1e-4, RANK: 16}, {LR: 1e-3, RANK: 8}, {LR: 1e-3, RANK: 16},
    ]  # fmt: skip
    assert [trial.name for trial in made][:2] == ["lr=0.0001,rank=8", "lr=0.0001,rank=16"]


def test_more_draws_or_another_key_leave_earlier_draws_as_they_were():
    drawn = Parameter(log_uniform=(1e-6, 1e-2))
    few = [trial.values[LR] for trial in trials({LR: drawn}, 4, 7)]
    assert [trial.values[LR] for trial in trials({LR: drawn}, 9, 7)][:4] == few
    both = trials({RANK: Parameter(grid=[8, 16]), LR: drawn}, 4, 7)
    assert [trial.values[LR] for trial in both] == few * 2, "grids are compared by the same draws"
    assert [trial.values[LR] for trial in trials({LR: drawn}, 4, 8)] != few


def test_draws_are_what_they_are_called():
    made = trials(
        {"a": Parameter(uniform=(0, 0.1)), "b": Parameter(integers=(1, 3)), "c": Parameter(choice=[5])}, 60, 0
    )
    for trial in made:
        told = dict(word.split("=") for word in trial.name.split(","))
        assert {name: float(text) for name, text in told.items()} == trial.values
        assert 0 <= trial.values["a"] <= 0.1
    assert {trial.values["b"] for trial in made} == {1, 2, 3}
    logs = [math.log10(trial.values["x"]) for trial in trials({"x": Parameter(log_uniform=(1e-5, 1e-1))}, 200, 0)]
    assert 80 < sum(log < -3 for log in logs) < 120, "evenly by the logarithm"


def test_a_choice_that_comes_up_again_is_one_trial():
    assert len(trials({"x": Parameter(choice=["a", "b"])}, 20, 0)) == 2


@given(
    st.lists(
        st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), st.none(), st.text(max_size=60)),
        min_size=1, max_size=6, unique_by=repr,
    )
)  # fmt: skip
def test_names_are_readable_by_shells_and_all_different(values):
    try:
        parameter = Parameter(grid=values)
    except SpaceError:  # 0 and 0.0, or true and 1, are the same to JSON
        return
    made = trials({"model.init_args.x": parameter}, 1, 0)
    assert len({trial.name for trial in made}) == len(made)
    assert all(re.fullmatch(r"x=[A-Za-z0-9_.+~-]{0,46}", trial.name) for trial in made)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_text_is_that_number(number):
    assert float(value_text(number)) == number


def test_keys_are_called_by_what_tells_them_apart():
    names = short_names(["model.init_args.lora.rank", "model.init_args.vision_lora.rank", "data.seed"])
    assert list(names.values()) == ["lora.rank", "vision_lora.rank", "seed"]
    assert short_names(["seed", "data.seed"]) == {"seed": "seed", "data.seed": "data.seed"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing"),
        ({"grid": [1], "choice": [2]}, "grid and choice"),
        ({"grid": []}, "empty"),
        ({"grid": [1, 1]}, "twice"),
        ({"uniform": (2, 1)}, "lower bound"),
        ({"log_uniform": (0, 1)}, "logarithm"),
    ],
)
def test_what_cannot_be_tried_is_refused(given, said):
    with pytest.raises(SpaceError, match=said):
        Parameter(**given)


def test_draws_of_what_is_not_drawn_are_refused():
    with pytest.raises(SpaceError, match="all parameters are grids"):
        trials({"x": Parameter(grid=[1])}, 3, 0)
    with pytest.raises(SpaceError, match="there is none"):
        trials({}, 1, 0)
