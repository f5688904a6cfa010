"""Conversations fit their study: the answer fits the question, the draw is the study's own, and yes balances no."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.conversations import DESCRIBE, FINDINGS, IMPRESSION, Said, converse
from cxr_lightning.reports.draw import fraction
from cxr_lightning.reports.questions import all_labels, ask_about, name_of

pytestmark = pytest.mark.quick

SAID = Said(summary="All of it.", findings="The findings.", impression="The impression.", labels=("pacemaker",))


def test_describe_asks_in_many_words_and_answers_with_the_summary():
    conversations = [converse(SAID, str(key), "describe") for key in range(400)]
    asked = Counter(turns[0]["content"] for turns in conversations)
    assert set(asked) == {f"<image>\n{question}" for question in DESCRIBE}
    assert len(DESCRIBE) >= 12
    assert min(asked.values()) > 10
    assert all(turns[1] == {"role": "assistant", "content": "All of it."} for turns in conversations)


def test_mixed_answers_what_was_asked():
    answers = dict.fromkeys(DESCRIBE, SAID.summary) | dict.fromkeys(FINDINGS, SAID.findings)
    answers |= dict.fromkeys(IMPRESSION, SAID.impression)
    for key in range(200):
        turns = [turn["content"].removeprefix("<image>\n") for turn in converse(SAID, str(key), "mixed")]
        assert len(turns) == 4
        for question, answer in zip(turns[::2], turns[1::2], strict=True):
            assert answer == answers.get(question, answer)
            assert question in answers or answer.startswith(("Yes, there is", "No, there is no"))


def test_a_sources_own_turns_are_used_as_they_are():
    said = Said(summary="S.", turns=(("Is it normal?", "No"), ("Why?", "An effusion")))
    assert [turn["content"] for turn in converse(said, "key", "mixed")] == [
        "<image>\nIs it normal?",
        "No",
        "Why?",
        "An effusion",
    ]
    assert converse(Said("", turns=(("<image> Normal?", "Yes"),)), "k", "describe")[0]["content"] == "<image> Normal?"


def test_unknown_or_foreign_labels_are_not_asked_about():
    for labels in (None, ("Pleural Effusion",)):
        turns = converse(Said("All.", labels=labels), "key", "mixed")
        assert [turn["content"] for turn in turns[1::2]] == ["All."]


@given(st.text(), st.sampled_from(["describe", "mixed"]))
def test_turns_alternate_and_one_image_is_marked(key, style):
    turns = converse(SAID, key, style)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    assert sum(turn["content"].count("<image>") for turn in turns) == 1
    assert turns == converse(SAID, key, style)


@given(st.sets(st.sampled_from(all_labels())), st.text())
def test_an_answer_is_true(labels, key):
    question, answer = ask_about(tuple(labels), key)
    asked = [label for label in all_labels() if name_of(label) in question]
    assert asked
    # "a left pleural effusion" is in no other label's name, so exactly one is asked about.
    assert len(asked) == 1
    assert answer.startswith("Yes, ") == (asked[0] in labels)


def test_yes_and_no_are_equally_often():
    answers = Counter(ask_about(("line", "nodule:left-upper"), str(key))[1][:2] for key in range(1000))
    assert abs(answers["Ye"] - 500) < 60


def test_labels_are_different_and_named_differently():
    assert len(all_labels()) == len({name_of(label) for label in all_labels()}) == 21


@given(st.lists(st.text(), min_size=1))
def test_a_fraction_is_a_fraction(words):
    assert 0.0 <= fraction(*words) < 1.0
