"""Sick texts are found, in the words of the seeds' own troubles; real reports are healthy."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from cxr_lightning.scoring.health import MEASURES, health, remarks
from cxr_lightning.scoring.script import SMALL_WORDS, broken_in, language_of, scripts_of
from tests.scoring.openi import needs_reports, reports
from tests.scoring.wild import PAIRS

pytestmark = pytest.mark.quick

WHO = (
    "heart",
    "left lung",
    "right lung",
    "mediastinum",
    "aorta",
    "pleura",
    "left hilum",
    "right hilum",
    "spine",
    "ribs",
)
HOW = ("normal in size and shape", "seen without a change", "not clear at the base", "large for the age of the patient")
REPORTS = [f"The {who} is {how}. There is no other finding of {who} in {how[:9]}." for who in WHO for how in HOW]


def told(answers: list[str], **more: object) -> str:
    return " ".join(remarks(health(answers, REPORTS, **more)))


def test_reports_themselves_are_healthy():
    found = health(REPORTS, REPORTS, [*REPORTS[::2]], ["stop"] * len(REPORTS))
    assert remarks(found) == []
    assert found["answers"].keys() == found["references"].keys() == MEASURES.keys()
    assert found["length"] == {"ratio": 1.0, "under_half": 0.0, "over_twice": 0.0}
    assert found["answers"]["copied"] == 0.5
    assert found["answers"]["cut_off"] == 0.0
    assert found["references"]["cut_off"] is None
    json.dumps(found, allow_nan=False)


@needs_reports
@pytest.mark.real
def test_real_reports_are_healthy_and_none_is_taken_for_another_language():
    texts = [f"{findings} {impression}" for findings, impression in reports(2500)]
    found = health(texts[:1000], texts[1000:2000], texts[2000:])
    assert remarks(found) == []
    assert {language_of(text) for text in texts} <= {"English", None}
    assert set().union(*map(broken_in, texts)) == set()
    assert 0.5 < found["references"]["copied_sentences"] < 0.8, "chance alone finds so many"


def test_one_answer_for_all_is_seen():
    said = told([REPORTS[0]] * len(REPORTS), training_references=REPORTS[:1])
    assert "100.0% of the answers are word for word that of another study; of the references 0.0%" in said
    assert "One and the same answer is given to 100.0%" in said
    assert "ROUGE-L of two is 1.00" in said
    assert "Few sentences serve for all" in said
    assert "100.0% of the answers are whole training reports; of the references 2.5%" in said


def test_empty_cut_off_and_repeating_answers_are_seen():
    looping = [f"{report} {'and no effusion ' * 30}" for report in REPORTS[2:]]
    said = told(["", " .", *looping], finishes=["stop", None, *["length"] * len(looping)])
    assert "5.0% of the answers are empty" in said
    assert "97.4% of the answers were cut off" in said
    assert "95.0% of the answers go round in circles; of the references 0.0%" in said
    assert "too long" in said
    assert "say a sentence twice" in told([f"{report} {report}" for report in REPORTS])
    assert "too short" in told([report.split(".")[0].split()[1] for report in REPORTS])


def test_chinese_in_english_is_seen_and_chinese_reports_are_not_foreign_among_themselves():
    said = told([*REPORTS[1:], "The heart is 正常 in size."])
    assert "2.5% of the answers hold Chinese letters; of the references 0.0%" in said
    chinese = [f"心脏大小正常{number}。双肺清晰。" for number in range(40)]
    found = health(chinese, chinese)
    assert found["scripts"] == {}
    assert health(REPORTS, chinese)["answers"]["foreign_script"] == 1.0


def test_another_language_is_seen():
    said = told([*REPORTS[2:], "Das Herz ist nicht groß und die Lunge ist frei.", "Le cœur est normal et les poumons."])
    assert "5.0% of the answers are in German and French; of the references 0.0%" in said


def test_a_text_in_hundreds_that_is_taken_for_another_language_is_no_remark():
    found = health(REPORTS, REPORTS)
    found["languages"] = {"Portuguese": 0.005}
    found["answers"]["foreign_language"] = 0.005
    assert not [remark for remark in remarks(found) if "are in" in remark]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The heart is of normal size, there is no effusion.", "English"),
        ("Das Herz ist normal groß, die Lunge ist frei.", "German"),
        ("Le cœur est normal et les poumons sont clairs.", "French"),
        ("El corazón es normal y los pulmones no tienen una opacidad.", "Spanish"),
        ("O coração é normal e não há derrame nos pulmões.", "Portuguese"),
        ("Il cuore è normale e non ci sono versamenti nel polmone.", "Italian"),
        ("Het hart is normaal en de longen zijn vrij van vocht.", "Dutch"),
        ("Serce jest w normie i nie ma płynu w jamie opłucnej.", "Polish"),
        ("Heart size normal. No effusion.", None),
        ("As a precaution, no film as old as it is; we do no more.", "English"),
        ("", None),
    ],
)
def test_languages_are_told_by_small_words(text, language):
    assert language_of(text) == language
    assert language is None or language in SMALL_WORDS


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("No effusion", {"Latin"}),
        ("ερώτηση и ответ", {"Greek", "Cyrillic"}),
        ("3 \u03b2 5 \u00b5m", set()),
        ("القلب طبيعي", {"Arabic"}),
        ("心", {"Chinese"}),
        ("12.5", set()),
    ],
)
def test_scripts_are_told_by_the_names_of_letters(text, scripts):
    assert scripts_of(text) - ({"Latin"} if "Latin" not in scripts else set()) == scripts


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("no \ufffd effusion", {"replacement"}),
        ("no \ud800 effusion", {"surrogate"}),
        ("no\x00 effusion\x1b", {"control"}),
        ("no \ue000", {"private"}),
        ("derrame plÃ©urÃ©sie", {"misread"}),
        ("patientâ€™s heart", {"misread"}),
        ("normal <|im_end|> normal", {"special token"}),
        ("normal</s>", {"special token"}),
        ("the \u0120heart", {"special token"}),
        ("Kein Erguß, größe “2–3 cm”, 37 °C ± 0.5, naïve\n\ttab", set()),
    ],
)
def test_broken_text_is_found(text, kinds):
    assert broken_in(text) == kinds
    assert set(health([text], ["no effusion"])["broken"]) == kinds


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_any_text_is_measured(texts):
    references, answers = map(list, zip(*texts, strict=True))
    found = health(answers, references, references, ["length"] * len(answers))
    shares = [value for side in ("answers", "references") for name, value in found[side].items() if name != "words"]
    assert all(value is None or 0 <= value <= 1 for value in shares)
    assert found["references"]["copied_sentences"] in (0.0, 1.0)
    json.dumps([found, remarks(found)], allow_nan=False)


def test_sides_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="2 answers, 1 references"):
        health(["a", "b"], ["a"])
