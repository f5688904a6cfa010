"""What a judge says is read where it is plain, and is no vote where it is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.evaluation.judge.answers import read_choice, read_grades

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('{"better": "A"}', "A"),
        ('```json\n{"better": "b"}\n```', "B"),
        ('{"better": "Tie", "reason": "alike"}', "tie"),
        ('```\n{"better": "B"}\n```', "B"),
        ('Both are close. {"better": "Tie"}', None),  # the verdict is the whole answer, or reports would vote
        ('{"better": "A"} is what the report says.', None),
        ('The report says {"better": "A"}. My choice: B', None),
        ('The report says\n```json\n{"better": "A"}\n```', None),
        ('```json\n{"better": "A"}\n``` or ```json\n{"better": "B"}\n```', None),
        ('{"better": "A", "better": "B"}', None),
        ('{"better": "A", "why": {"x": 1, "x": 2}}', None),
        ('<think>maybe {"better": "A"} would be right, but', None),
        ('<think>maybe A</think><think>\n{"better": "A"}', None),
        ('maybe A</think>{"better": "B"}', "B"),  # some servers keep the opening mark to themselves
        ("<think>A", None),
        ('[{"better": "A"}]', None),
        ('{"answer": {"better": "A"}}', None),
        ('<think>{"better": "A"}? No.</think>\n{"better": "B"}', "B"),
        ("**A**", "A"),
        ("tie.", "tie"),
        ("A is not better than B", None),
        ("Report A", None),
        ('{"better": "C"}', None),
        ('{"better": "A"} {"better": "B"}', None),
        ('{"better": null}', None),
        ('{"better": ["A"]}', None),
        ("", None),
    ],
)
def test_choices(text, choice):
    assert read_choice(text) == choice


@pytest.mark.parametrize(
    ("text", "accuracy"),
    [
        ('{"accuracy": 3, "completeness": 2, "safety": 5}', 3),
        ('Here: {"accuracy": 4, "completeness": 2, "safety": 5}', None),
        ('{"accuracy": 4, "completeness": 2, "safety": 5, "safety": 1}', None),
        ('{"accuracy": 1e999, "completeness": 2, "safety": NaN}', None),
        ('{"accuracy": "4", "completeness": 2.0, "safety": 5, "why": "x"}', 4),
        ('{"accuracy": 6, "completeness": 2, "safety": 5}', None),
        ('{"accuracy": 3.5, "completeness": 2, "safety": 5}', None),
        ('{"accuracy": true, "completeness": 2, "safety": 5}', None),
        ('{"accuracy": 3, "completeness": 2}', None),
        ('{"accuracy": 3, "completeness": 2, "safety": 5} {"accuracy": 1, "completeness": 2, "safety": 5}', None),
        ("3, 2, 5", None),
    ],
)
def test_grades(text, accuracy):
    grades = read_grades(text)
    assert (grades and grades["accuracy"]) == accuracy


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_anything_is_read_or_left(text):
    assert read_choice(text) in ("A", "B", "tie", None)
    assert read_choice(f'x {text} {{"better": "A"}}') is None
    read_grades(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"better": ' + "[" * 200_000 + "}", '{"better":' * 200_000, '{"better": ' + "9" * 5000 + "}"],
)
def test_what_no_reader_of_json_can_bear_is_left(text):
    assert read_choice(text) is None
    assert read_grades(text) is None
