"""Conversations fit their study: the answer fits the question, the draw is the study's own, and yes balances no."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.reports.conversations import (
    DESCRIBE,
    FINDINGS,
    IMPRESSION,
    Asked,
    Context,
    Said,
    Style,
    ask_all,
    converse,
    wordings,
)
from cxr_lightning.reports.conversations.details import place_words, projection
from cxr_lightning.reports.conversations.frequencies import HOSPITAL, OPENI, kept, shares_among
from cxr_lightning.reports.conversations.labels import all_labels, ask_labels, name_of
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.draw import fraction

pytestmark = pytest.mark.quick

SAID = Said(summary="All of it.", findings="The findings.", impression="The impression.", labels=("pacemaker",))
ILL = Said(
    summary="Small left pleural effusion. Moderate cardiomegaly. Pacemaker in the left chest wall. No pneumothorax.",
    findings="There is a small left pleural effusion. Moderate cardiomegaly. A pacemaker is seen in the left chest"
    " wall. There is a 2.3 cm nodule in the right upper lobe. No pneumothorax. The bones are intact.",
    impression="Small left pleural effusion and cardiomegaly.",
    source="openi",
)
HEALTHY = Said(
    summary="The heart is normal in size. The lungs are clear. No pleural effusion. No acute disease.",
    findings="The heart is normal in size. The lungs are clear. There is no pleural effusion.",
    impression="No acute cardiopulmonary disease.",
    source="openi",
)
EVEN = dict.fromkeys(OPENI, (0.5, 0.5))


@cache
def many(said: Said) -> list[Asked]:
    """All that is asked of a study under many keys, where findings are there and not there equally often."""
    return [each for key in range(400) for each in ask_all(said, str(key), shares=EVEN)]


def test_describe_asks_in_many_words_and_answers_with_the_summary() -> None:
    conversations = [converse(SAID, str(key), "describe") for key in range(400)]
    asked = Counter(turns[0]["content"] for turns in conversations)
    assert set(asked) == {f"<image>\n{question}" for question in DESCRIBE}
    assert min(asked.values()) > 10
    assert all(turns[1] == {"role": "assistant", "content": "All of it."} for turns in conversations)


def test_describe_is_what_it_was() -> None:
    # Packed shards, the demo and the golden losses hang on these draws.
    asked = [converse(SAID, key, "describe")[0]["content"] for key in ("a", "b", "c")]
    assert asked == [f"<image>\n{DESCRIBE[int(fraction(key, 'describe') * len(DESCRIBE))]}" for key in ("a", "b", "c")]


def test_a_whole_text_answers_the_request_for_it() -> None:
    answers = dict.fromkeys(DESCRIBE, ILL.summary) | dict.fromkeys(FINDINGS, ILL.findings)
    answers |= dict.fromkeys(IMPRESSION, ILL.impression)
    seen = Counter(each.kind for each in many(ILL))
    assert {"describe", "findings", "impression", "presence", "place", "extent", "devices", "normality"} <= set(seen)
    for each in many(ILL):
        if each.kind in ("describe", "findings", "impression"):
            assert answers[each.question] == each.answer


def test_two_to_five_questions_are_asked() -> None:
    counts = Counter(len(ask_all(said, str(key), shares=EVEN)) for said in (ILL, HEALTHY) for key in range(200))
    assert set(counts) == {2, 3, 4, 5}
    assert len(ask_all(Said("Something is seen."), "key")) == 1
    assert ask_all(Said(""), "key") == []


def test_every_kind_is_asked_in_eight_ways_at_least() -> None:
    kinds = {name: ways for name, ways in vars(wordings).items() if name.isupper() and name != "YES_OR_NO"}
    assert len(kinds) == 16
    for name, ways in kinds.items():
        assert len(set(ways)) == len(ways) >= 8, name


def test_what_is_there_is_placed_sized_and_measured_as_the_report_has_it() -> None:
    answers: dict[tuple[str, str, bool | None], set[str]] = {}
    for each in many(ILL):
        answers.setdefault((each.kind, each.about, each.holds), set()).add(each.answer)
    assert answers["place", "pleural effusion", True] <= {
        "On the left.",
        "The pleural effusion is on the left.",
        "The pleural fluid is on the left.",
        "There is a small left pleural effusion.",
        "Small left pleural effusion and cardiomegaly.",
    }
    assert "In the right upper lung." in answers["place", "nodule", True]
    assert "Small." in answers["extent", "pleural effusion", True]
    assert "The cardiomegaly is moderate." in answers["extent", "enlarged heart", True]
    assert "It measures 2.3 cm." in answers["extent", "nodule", True]
    assert answers["devices", "devices", True] == {"A pacemaker is seen in the left chest wall."}
    assert answers["region", "the bones", None] == {"The bones are intact."}


def test_where_nothing_is_nothing_is_placed() -> None:
    denied = {each.answer for each in many(ILL) if each.kind == "place" and each.about == "pneumothorax"}
    assert denied == {"There is no pneumothorax.", "There is none. No pneumothorax."}


@pytest.mark.parametrize(
    ("text", "topic", "verdict"),
    [
        ("Small left pleural effusion.", "pleural effusion", True),
        ("No pleural effusion.", "pleural effusion", False),
        ("No large pleural effusion.", "pleural effusion", None),
        ("Possible pleural effusion.", "pleural effusion", None),
        ("No pleural effusion. Small left pleural effusion.", "pleural effusion", None),
        ("The heart is normal.", "pleural effusion", None),
        ("No displaced fracture.", "fracture", None),
        ("Scarring or atelectasis at the left base.", "atelectasis", None),
        ("Probable left pleural effusion.", "pleural effusion", None),
        ("Nodules were seen on CT.", "nodule", None),
        ("The lungs are clear. No acute disease.", "atelectasis", False),
        ("The lungs are otherwise clear. No acute disease.", "atelectasis", None),
        ("The left lung is clear. No acute disease.", "atelectasis", None),
        ("The lungs are clear. No acute disease.", "pleural effusion", None),
        ("No pulmonary edema. Vascular congestion.", "edema", None),
        ("The cardiomediastinal silhouette is normal.", "enlarged heart", False),
        ("The heart size is borderline.", "enlarged heart", None),
    ],
)
def test_only_what_is_settled_is_asked(text: str, topic: str, verdict: bool | None) -> None:
    (about,) = (each for each in TOPICS if each.name == topic)
    assert read(Said(text, text)).settles(about) is verdict


@pytest.mark.parametrize(
    ("text", "abnormal"),
    [
        ("The heart is normal. The lungs are clear. No acute disease.", False),
        ("Normal chest.", False),
        ("Cardiomegaly.", True),
        ("The heart is normal.", None),
        ("No acute disease. Calcified granuloma.", None),
        ("No acute disease. Possible pneumonia.", None),
        ("No acute disease. A pacemaker is in place.", None),
        ("Mild scoliosis. No acute disease.", None),
        ("Otherwise no acute disease.", None),
    ],
)
def test_normal_is_what_is_called_so_and_has_nothing_else(text: str, abnormal: bool | None) -> None:
    assert read(Said(text, text)).abnormal is abnormal


def test_where_the_source_labels_otherwise_nothing_is_asked() -> None:
    (effusion,) = (each for each in TOPICS if each.name == "pleural effusion")
    there, absent = "Small left pleural effusion.", "No pleural effusion."

    def settled(text: str, *observations: tuple[str, int]) -> bool | None:
        return read(Said(text, text, observations=observations)).settles(effusion)

    assert settled(there, ("Pleural Effusion", 1)) is True
    assert settled(absent, ("Pleural Effusion", 0)) is False
    for value in (0, -1):
        assert settled(there, ("Pleural Effusion", value)) is None
    assert settled(absent, ("Pleural Effusion", 1)) is None
    assert settled(there) is None
    assert settled(absent, ("No Finding", 1)) is False
    assert read(Said(there, there, labels=("pneumothorax:left",))).settles(effusion) is None
    assert read(Said(there, there, labels=("pleural_effusion:left",))).settles(effusion) is True


def test_a_sources_own_turns_are_used_as_they_are() -> None:
    said = Said(summary="S.", turns=(("Is it normal?", "No"), ("Why?", "An effusion")))
    assert [turn["content"] for turn in converse(said, "key", "mixed")] == [
        "<image>\nIs it normal?",
        "No",
        "Why?",
        "An effusion",
    ]
    assert converse(Said("", turns=(("<image> Normal?", "Yes"),)), "k", "describe")[0]["content"] == "<image> Normal?"


@settings(max_examples=50)
@given(st.text(), st.sampled_from(get_args(Style)), st.sampled_from([SAID, ILL, HEALTHY]))
def test_turns_alternate_and_one_image_is_marked(key: str, style: Style, said: Said) -> None:
    turns = converse(said, key, style)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    assert turns[0]["content"].startswith("<image>\n")
    assert sum(turn["content"].count("<image>") for turn in turns) == 1
    assert turns == converse(said, key, style)
    assert all(turn["content"].strip() and "{" not in turn["content"] for turn in turns)


@given(st.text(max_size=400), st.text(max_size=5))
def test_any_text_makes_a_conversation_or_none(text: str, key: str) -> None:
    turns = converse(Said(text, text, text), key, "mixed")
    assert len(turns) % 2 == 0
    assert all(turn["content"] for turn in turns[::2])


@given(st.sets(st.sampled_from(all_labels())), st.text())
def test_an_answer_about_labels_is_true(labels: set[str], key: str) -> None:
    for asked in ask_labels(tuple(labels), key):
        assert name_of(asked.about).removeprefix("a ").lower() in asked.question.lower()
        assert asked.holds is (asked.about in labels)
        assert asked.answer.startswith("Yes" if asked.holds else "No")


def test_labels_are_asked_yes_and_no_alike() -> None:
    drawn = [labels for labels in (("line", "nodule:left-upper"),) * 7 + ((),) * 3 for _ in range(200)]
    asked = [each for number, labels in enumerate(drawn) for each in ask_labels(labels, str(number))]
    assert abs(sum(each.holds is True for each in asked) / len(asked) - 0.5) < 0.08


def test_unknown_or_foreign_labels_are_not_asked_about() -> None:
    for labels in (None, ("Pleural Effusion",)):
        assert [each.answer for each in ask_all(Said("All.", labels=labels), "key")] == ["All."]


def test_labels_are_different_and_named_differently() -> None:
    assert len(all_labels()) == len({name_of(label) for label in all_labels()}) == 21


@given(st.lists(st.text(), min_size=1))
def test_a_fraction_is_a_fraction(words: list[str]) -> None:
    assert 0.0 <= fraction(*words) < 1.0


def test_the_rarer_answer_is_always_asked_and_the_commoner_as_often() -> None:
    keys = [str(number) for number in range(4000)]
    for shares in (OPENI, HOSPITAL):
        there, absent = shares["pleural effusion"]
        yes = sum(kept("pleural effusion", holds=True, shares=shares, key=key) for key in keys)
        no = sum(kept("pleural effusion", holds=False, shares=shares, key=key) for key in keys)
        assert yes == len(keys)
        assert no / len(keys) == pytest.approx(there / absent, abs=0.03)


def test_shares_can_be_measured_on_ones_own() -> None:
    shares = shares_among([ILL, HEALTHY, HEALTHY])
    assert set(shares) == set(OPENI) == set(HOSPITAL)
    there, absent = shares["pleural effusion"]
    assert (there, absent) == pytest.approx((1.5 / 4, 2.5 / 4))


def test_an_archive_that_no_table_knows_is_balanced_by_its_own_shares() -> None:
    # Nine effusions in ten: what a table for another archive would make a yes of almost every question.
    archive = [Said(text, text) for text in ("Left pleural effusion.",) * 9 + ("No pleural effusion.",)]
    shares = shares_among(archive)
    asked = Counter(
        each.holds
        for number in range(1000)
        for each in ask_all(archive[number % 10], str(number), shares=shares)
        if each.kind == "presence"
    )
    assert asked[True] / asked.total() == pytest.approx(0.5, abs=0.12)
    turns = converse(archive[0], "key", "mixed", shares=shares)
    assert turns == converse(archive[0], "key", "mixed", shares=dict(shares))


def test_places_and_projections_are_read() -> None:
    assert place_words(frozenset()) == ""
    assert projection("Chest PA and lateral") == "PA"
    assert projection("Portable AP view") == projection("Portable chest radiograph") == "AP"
    assert projection("AP and PA views") == projection("Lateral") == ""
    said = Said("Normal chest.", technique="Portable AP.", position="frontal")
    unsaid = Context(view=False, technique=False)
    answers = {each.answer for key in range(60) for each in ask_all(said, str(key), unsaid) if each.kind == "view"}
    assert {"AP.", "It is an AP projection.", "The film was taken AP."} <= answers


def test_a_second_one_that_is_nowhere_leaves_the_place_open() -> None:
    one, two = "A 6 mm nodule is in the right lung.", "A 6 mm nodule is in the right lung. There is a second nodule."
    for text, placed in ((one, True), (two, False)):
        asked = [each for key in range(40) for each in ask_all(Said(text, text), str(key), shares=EVEN)]
        assert any(each.kind == "place" for each in asked) is placed


def test_a_device_near_a_bone_is_not_of_the_bones() -> None:
    text = "The left subclavian line is kinked at the clavicle. The heart is normal."
    asked = [each for key in range(80) for each in ask_all(Said(text, text), str(key), shares=EVEN)]
    assert {each.about for each in asked if each.kind == "region"} == {"the heart"}
