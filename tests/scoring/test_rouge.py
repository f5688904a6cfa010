"""ROUGE is Google's, to the last digit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.rouge import KINDS, longest_common, rouge, rouge_statistics
from tests.scoring.openi import needs_reports, pairs
from tests.scoring.wild import ANY

pytestmark = pytest.mark.quick


def theirs(reference: str, answer: str) -> list[float]:
    from rouge_score.rouge_scorer import RougeScorer

    scores = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(reference, answer)
    return [score.fmeasure for score in scores.values()]


@needs_reports
@pytest.mark.real
def test_real_reports_score_as_rouge_score_has_it():
    for reference, answer in zip(*pairs(500), strict=True):
        assert rouge(reference, answer) == pytest.approx(theirs(reference, answer), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(ANY, ANY)
def test_any_text_scores_as_rouge_score_has_it(reference, answer):
    if len(reference) + len(answer) < 4000:  # theirs makes a table of all pairs of words
        assert rouge(reference, answer) == pytest.approx(theirs(reference, answer), abs=1e-9)


@given(st.lists(st.integers(0, 4).map(str), max_size=80), st.lists(st.integers(0, 4).map(str), max_size=80))
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    row = [0] * (len(second) + 1)
    for word in first:
        before = row.copy()
        for at, other in enumerate(second, start=1):
            row[at] = before[at - 1] + 1 if word == other else max(before[at], row[at - 1])
    assert longest_common(first, second) == row[-1]


def test_capitals_and_points_do_not_count_and_the_mean_is_over_studies():
    text = "No pleural effusion, no pneumothorax."
    assert rouge(text, text.upper()) == (1.0, 1.0, 1.0)
    for kind in KINDS:
        rows = rouge_statistics([text, "a b"], [text, "c"], kind)
        assert ratio_of_sums(rows.sum(axis=0, keepdims=True)) == pytest.approx(0.5)


def test_a_very_long_answer_is_read_at_once():
    assert rouge("no effusion " * 5000, "no effusion " * 10000)[2] == pytest.approx(2 / 3)
