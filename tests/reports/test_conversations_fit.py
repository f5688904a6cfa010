"""An answer fits its question, is no surer than the report, and says nothing twice."""

from __future__ import annotations

import pytest

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.reports.conversations import Said
from cxr_lightning.reports.conversations.details import stated_details
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.regions import regions
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.conversations.turns import Asked

pytestmark = pytest.mark.quick

TOPIC = {topic.name: topic for topic in TOPICS}


def details(text: str) -> list[Asked]:
    reading = read(Said(text, text))
    return [each for key in range(60) for each in stated_details(reading, str(key))]


def about(text: str, part: str) -> set[str]:
    reading = read(Said(text, text))
    return {each.answer for key in range(60) for each in regions(reading, str(key)) if each.about == part}


@pytest.mark.parametrize(
    "text",
    [
        "Opacity at the right base which may be compatible with pneumonia.",
        "Findings could be consistent with pneumonia.",
        "Pneumonia is in the differential.",
        "Pneumonia remains in the differential diagnosis.",
        "Pneumonia should be excluded.",
        "Pneumonia must be considered.",
    ],
)
def test_what_is_only_considered_is_uncertain(text: str) -> None:
    (pneumonia,) = (each for each in find_mentions(text) if each.finding == "pneumonia")
    assert pneumonia.certainty is Certainty.UNCERTAIN
    assert read(Said(text, text)).settles(TOPIC["pneumonia"]) is None


def test_what_was_excluded_is_absent() -> None:
    assert [each.certainty for each in find_mentions("Pneumonia has been excluded.")] == [Certainty.ABSENT]


@pytest.mark.parametrize(
    "doubt",
    [
        "This may be artifact.",
        "This may be artifactual secondary to overlapping vascular structures.",
        "It is likely a nipple shadow.",
        "Probably a summation of shadows.",
        "This is due to a skin fold.",
    ],
)
def test_a_shadow_that_may_be_nothing_is_open(doubt: str) -> None:
    text = "There is a 6 mm nodule in the right upper lobe."
    assert read(Said(text, text)).settles(TOPIC["nodule"]) is True
    reading = read(Said(text, text, written=f"{text} {doubt}"))
    assert reading.settles(TOPIC["nodule"]) is None
    assert reading.abnormal is None
    larger = read(Said(f"{text} Cardiomegaly.", f"{text} Cardiomegaly.", written=f"{text} {doubt} Cardiomegaly."))
    assert larger.abnormal is True


def test_a_mass_elsewhere_leaves_open_whether_there_is_one() -> None:
    text = "No lung mass or nodule is seen."
    assert read(Said(text, text)).settles(TOPIC["nodule"]) is False
    for other, settled in (("There is an upper mediastinal mass.", None), ("No mediastinal mass.", False)):
        assert read(Said(f"{text} {other}", f"{text} {other}")).settles(TOPIC["nodule"]) is settled


def test_where_the_largest_is_the_others_need_not_be() -> None:
    nodules = "Multiple bilateral pulmonary nodules, the largest in the right upper lobe."
    answers = {each.answer for each in details(nodules) if each.kind == "place"}
    assert answers <= {nodules}
    assert any("upper lung" in each.answer for each in details("A nodule in the right upper lobe."))


def test_an_enlarged_heart_is_not_mild() -> None:
    asked = [each for each in details("The heart is mildly enlarged.") if each.kind == "extent"]
    assert {"Mild.", "The cardiomegaly is mild."} <= {each.answer for each in asked}
    assert not any("enlarged heart" in f"{each.question} {each.answer}" for each in asked)


def test_a_measure_answers_no_question_for_a_step() -> None:
    asked = [each for each in details("Right upper lobe nodule measuring 11 mm.") if each.kind == "extent"]
    assert len({each.question for each in asked}) > 3
    assert not any(word in each.question.lower() for each in asked for word in ("small", "grade"))


def test_nothing_is_said_twice_of_a_part() -> None:
    text = "The lungs are clear and hyperinflated. Hyperinflated lungs. Heart size is normal."
    assert about(text, "the lungs") == {"The lungs are clear and hyperinflated."}
    both = "Small left effusion. No left effusion of large size is seen. Heart size is normal."
    assert all("Small left effusion." in each for each in about(both, "the pleura"))


def test_air_under_the_skin_is_not_of_the_lungs() -> None:
    assert not about("Subcutaneous emphysema. Heart size is normal.", "the lungs")
    assert about("Mild emphysema. Heart size is normal.", "the lungs")
