"""What is predicted is what others measured on A100s, within a quarter; docs/plan.md tells the same."""

from __future__ import annotations

import re

import pytest

from tests.cluster.planning.published import FIGURES, SPEEDS, Predictor, predicted
from tests.fitting import ROOT

PAGE = (ROOT / "docs/plan.md").read_text()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    """One for all, so that a model is built once."""
    return Predictor(tmp_path_factory.mktemp("published"))


def told(name: str, words: str) -> float:
    """Returns the ratio that the page tells."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |") and f"| {words} |" in line]
    return float(re.search(r"\| ([0-9.]+) \|$", row)[1])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.program.name}: {figure}")
def test_memory_is_what_was_published(figure, predictor):
    ratio = predicted(figure, predictor) / figure.measured
    print(f"{figure.program.name}, {figure}: {figure.measured:.1f}, predicted {ratio:.2f} times")
    assert (abs(ratio - 1) < 0.25) != bool(figure.reason)
    assert told(figure.program.name, str(figure)) == pytest.approx(ratio, abs=0.02)
    assert figure.reason in PAGE
    assert figure.program.source in PAGE


@pytest.mark.parametrize("speed", SPEEDS, ids=lambda speed: f"{speed.program.name}: {speed.what}")
def test_time_at_the_assumed_use_is_what_was_published(speed, predictor):
    ratio = predictor.seconds(speed) / speed.measured
    assert (abs(ratio - 1) < 0.25) != bool(speed.reason)
    assert told(speed.program.name, speed.what) == pytest.approx(ratio, abs=0.02)
    assert speed.reason in PAGE
    assert speed.program.source in PAGE


def test_three_programs_and_more_are_compared():
    assert len({figure.program.source for figure in FIGURES if not figure.reason}) >= 3
    assert len([figure for figure in FIGURES if figure.reason]) == 2
