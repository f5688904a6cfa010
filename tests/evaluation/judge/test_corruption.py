"""A falsified copy is false, and nothing in its form tells it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.evaluation.judge.corruption import corrupt

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "false", "what"),
    [
        ("Left effusion, RIGHT lung clear.", "Right effusion, LEFT lung clear.", "sides swapped"),
        ("No pleural effusion.", "There is pleural effusion.", "negations dropped"),
        ("There are no effusions or masses.", "There are effusions or masses.", "negations dropped"),
        ("Lungs expanded without effusion.", "Lungs expanded with effusion.", "negations dropped"),
        ("The heart is not enlarged.", "The heart is enlarged.", "negations dropped"),
        ("Normal heart size.", "Abnormal heart size.", "normal called abnormal"),
        ("The lungs are clear.", "The lungs are opacified.", "normal called abnormal"),
    ],
)
def test_what_is_turned_round(text, false, what):
    assert corrupt(text) == (false, what)


def test_what_says_nothing_cannot_be_turned_round():
    assert corrupt("Cardiomegaly.") is None


@given(st.lists(st.sampled_from(["left", "Right", "no", "No", "effusion", "without", "normal", ".", "NO"])))
def test_a_copy_is_another_one_that_begins_sentences_alike(words):
    text = " ".join(words)
    found = corrupt(text)
    if found is not None:
        assert found[0] != text
        assert found[0][:1].isupper() == text[:1].isupper()
