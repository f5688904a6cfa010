"""Real vLLM serves what this package exports. Minutes a model, so only where CXR_VLLM names a `vllm` command.

Everything at once, with a transcript: python -m tests.serving --vllm ... --real ... (docs/serving.md).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.serving.answers import Answer, Comparison
from tests.serving.models import CASES
from tests.serving.running import serve

ALWAYS = ("demo", "clip-mlp", "siglip-linear", "qwen2_5_vl")


@pytest.fixture(scope="module")
def program() -> Path:
    """The vllm command, or a visible skip."""
    named = os.environ.get("CXR_VLLM")
    if not named:
        pytest.skip("CXR_VLLM names no vllm command")
    return Path(named)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Where models lie; CXR_SERVING keeps them for another time."""
    return Path(os.environ.get("CXR_SERVING") or tmp_path_factory.mktemp("serving"))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.ranks
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ALWAYS)
def test_vllm_says_what_transformers_says(name, program, work, real_data):
    served = serve(name, work, real_data, program)
    assert not served.failure
    assert served.holds, served.row()


@pytest.mark.quick
def test_answers_are_held_against_each_other():
    def both(
        server: list[int], plain: list[int], margin: float | None = None, prompt: int = 1, apart: float = 0.0
    ) -> Comparison:
        one, other = Answer([1], server, [], ""), Answer([prompt], plain, [], "")
        return Comparison(one, other, apart, 1.0, margin, 0.25)

    ten = list(range(10))
    assert both(ten, ten).holds
    assert both([*ten, 3], [*ten, 4], 9.0).holds  # apart after the tenth
    assert both([3], [3]).holds  # an answer may be shorter
    assert both([0, 2], [0, 1], 0.125).equal == 1
    assert both([0, 2], [0, 1], 0.125).holds  # a tie
    assert not both([0, 2], [0, 1], 0.5).holds
    assert both([0, 2], [0, 1], 0.3, apart=0.4).holds  # less than the programs differ on the same film
    assert not both([0, 2], [0, 1], 0.5, apart=0.6).holds  # which is no noise: another film makes as much
    assert not both(ten, ten, prompt=2).holds


@pytest.mark.quick
def test_every_case_says_what_it_is():
    assert {"demo", "clip-linear", "clip-mlp", "siglip-linear", "siglip-mlp"} <= CASES.keys()
    assert all(case.about for case in CASES.values())
