"""Prompts carry what the radiologist had, nothing that names a person, and nothing that was seen only afterwards."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.reports.conversations import Context, Said, ask_all, converse, split_shown
from cxr_lightning.reports.conversations.shown import BARE_SHARE, indication_of, shown_of, technique_of
from cxr_lightning.shards.contract import SCHEMA, SampleRecord
from cxr_lightning.shards.question import question_of
from cxr_lightning.shards.sample import RawSample

pytestmark = pytest.mark.quick

ALL = Context(indication=True, technique=True, view=True, prior=True, lateral=True, always=True)
SAID = Said(
    "The lungs are clear.",
    "The lungs are clear.",
    "No acute disease.",
    indication="___ year old man with cough // pneumonia?",
    technique="Chest PA and lateral",
    position="frontal",
    lateral=True,
    prior="Small left pleural effusion.",
)

WORDS = (
    "Portable",
    "AP",
    "view",
    "shows",
    "a",
    "small",
    "left",
    "effusion",
    ".",
    "No",
    "pneumothorax",
    "ETT",
    "___",
    "12",
)


def test_everything_that_is_asked_for_is_shown_in_order() -> None:
    assert shown_of(SAID, "key", ALL, mixed=False) == (
        "Frontal view: <image>\nLateral view: <image>\nView: frontal.\nTechnique: Chest PA and lateral.\n"
        "Indication: Man with cough. Pneumonia?\nPrevious report: Small left pleural effusion.\n\n"
    )


def test_unasked_nothing_but_the_image_is_shown() -> None:
    assert shown_of(SAID, "key", Context(), mixed=False) == "<image>\n"
    assert converse(SAID, "key", "describe") == converse(SAID, "key", "describe", Context())


def test_mixed_questions_carry_what_was_known_unless_told_otherwise() -> None:
    lines = "View: frontal.\nTechnique: Chest PA and lateral.\nIndication: Man with cough. Pneumonia?\n\n"
    assert shown_of(SAID, "key", Context(always=True), mixed=True) == f"<image>\n{lines}"
    without = Context(indication=False, view=False, always=True)
    assert shown_of(SAID, "key", without, mixed=True) == "<image>\nTechnique: Chest PA and lateral.\n\n"
    own = Said("S.", turns=(("Any line?", "No."),), position="frontal")
    assert converse(own, "key", "mixed", Context(always=True))[0]["content"] == "<image>\nAny line?"
    asked = converse(own, "key", "mixed", Context(view=True, always=True))[0]["content"]
    assert asked == "<image>\nView: frontal.\n\nAny line?"


def test_some_studies_show_their_image_alone_unless_all_must_not() -> None:
    keys = [str(number) for number in range(1000)]
    context = Context(indication=True)
    bare = sum(shown_of(SAID, key, context, mixed=False) == "<image>\n" for key in keys)
    assert bare / len(keys) == pytest.approx(BARE_SHARE, abs=0.05)
    always = Context(indication=True, always=True)
    assert not any(shown_of(SAID, key, always, mixed=False) == "<image>\n" for key in keys)


def test_one_image_is_shown_where_one_is_stored() -> None:
    assert shown_of(Said("S.", position="lateral"), "key", Context(lateral=True), mixed=False) == "<image>\n"
    said = Said("S.", lateral=True)
    assert shown_of(said, "key", Context(lateral=True), mixed=False) == "First view: <image>\nLateral view: <image>\n"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("___ year old man with cough // pneumonia?", "Man with cough. Pneumonia?"),
        ("___F with SOB", "Woman with SOB."),
        ("History: ___M with chest pain", "Man with chest pain."),
        ("XXXX-year-old XXXX with chest pain.", "Chest pain."),
        ("63F w/ dyspnea", "Woman w/ dyspnea."),
        ("82-year-old woman with AVR. Please eval for effusion", "Woman with AVR. Please eval for effusion."),
        ("65 y/o female s/p fall", "Female s/p fall."),
        ("Mr. Smith with cough. Fever.", "Fever."),
        ("Seen by Dr. Jones on 12/03/2019", ""),
        ("XXXX", ""),
        ("Chest pain, XXXX of breath", "Chest pain."),
        ("Fever <image>", "Fever image."),
        ("John Smith with cough", ""),
        ("JANE DOE with cough. Fever.", "Fever."),
        ("Fever. Evaluate Mary O'Neil for pneumonia.", "Fever."),
        ("MRN 1234567, cough. Fever.", "Fever."),
        ("Cough. Call 555-123-4567 with results.", "Cough."),
        ("Cough since March 3, 2019", ""),
        ("82 years of age, cough", "Cough."),
        ("92-year-old man with cough", "Man with cough."),
        ("Lung Cancer with cough. Shortness Of Breath.", "Lung Cancer with cough. Shortness Of Breath."),
        ("Chest radiograph shows right effusion, evaluate size", ""),
        ("Right pneumothorax seen on CT today. Chest pain.", "Chest pain."),
        ("New left effusion on today's film", ""),
        ("Left pneumothorax was noted", ""),
        ("CXR: right effusion", ""),
        ("Cough; John Smith", "Cough."),
        ("CXR for PICC placement", "CXR for PICC placement."),
        ("Evaluate for pneumothorax on chest x-ray", "Evaluate for pneumothorax on chest x-ray."),
        ("Known pneumothorax, chest tube removed", "Known pneumothorax, chest tube removed."),
        ("Correlate with CT scan, chest pain", "Correlate with CT scan, chest pain."),
        ("JOHN SMITH 45M", ""),
        ("JOHN SMITH, chest pain", ""),
        ("SMITH JOHN 45 YO M COUGH", ""),
        ("SMITH, JOHN 45M with cough. Fever.", "Fever."),
        ("Smith, John 45 yo male. Fever", "Fever."),
        ("SMITH, JOHN A, cough", ""),
        ("JOHN SMITH - COUGH", ""),
        ("JOHN Q. SMITH ___F with cough", ""),
        ("PATIENT JOHN SMITH, 45M", ""),
        ("JOHN SMITH has cough. Fever.", "Fever."),
        ("MARY ANN O'NEIL 77 YEAR OLD FEMALE. COUGH.", "COUGH."),
        ("Cough. JOHN SMITH 45M", "Cough."),
        ("CHEST PAIN 45 YO M", "CHEST PAIN man."),
        ("COPD AIDS, cough", "COPD AIDS, cough."),
        ("CHEST PAIN, COUGH", "CHEST PAIN, COUGH."),
        ("VENTRAL HERNIA.", "VENTRAL HERNIA."),
        ("NSTEMI CABG 45M", "NSTEMI CABG M."),
        ("CXR with RLL opacity", ""),
        ("wheezing, infiltrate at outside hospital film", ""),
        ("OSH CXR pneumonia. Cough.", "Cough."),
        ("Opacity in outside film, fever", ""),
        ("Pneumonia, repeat CXR", "Pneumonia, repeat CXR."),
        ("CXR for pneumonia", "CXR for pneumonia."),
        ("Follow-up chest x-ray, known effusion", "Follow-up chest x-ray, known effusion."),
        ("Effusion. CXR to assess change", "Effusion. CXR to assess change."),
        ("56M s/p fall", "Man s/p fall."),
        ("56 yo M s/p fall", "Man s/p fall."),
        ("56 y/o F, fever", "Woman, fever."),
        ("45F. Fever", "Woman. Fever."),
        ("Cough in 45M", "Cough in man."),
        ("82 years of fatigue", "82 years of fatigue."),
        ("Chest tube 28 French", "Chest tube 28 French."),
        ("Found down. Seen in clinic for cough.", "Found down. Seen in clinic for cough."),
    ],
)
def test_indications_lose_ages_names_and_blanks(text: str, cleaned: str) -> None:
    assert indication_of(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Chest PA and lateral", "Chest PA and lateral."),
        ("Portable AP upright chest radiograph. Small left effusion is seen.", "Portable AP upright chest radiograph."),
        ("PA and lateral views of the chest, ___", "PA and lateral views of the chest."),
        ("Single AP view of the chest was obtained at 04:35.", "Single AP view of the chest was obtained."),
        ("Frontal view shows cardiomegaly", ""),
        ("Comparison is made with ___", ""),
        ("", ""),
    ],
)
def test_techniques_say_how_the_film_was_taken_alone(text: str, cleaned: str) -> None:
    assert technique_of(text) == cleaned


@pytest.mark.parametrize(
    "unit", ["___ a ", "___ a. ", "XXXX ", "12 year old ", "JOHN SMITH ", "A, ", "PA view ___ ", "// "]
)
def test_a_text_without_end_takes_no_time(unit: str) -> None:
    start = time.process_time()
    indication_of(unit * (100_000 // len(unit)))
    technique_of(unit * (100_000 // len(unit)))
    assert time.process_time() - start < 1.0


def test_the_first_sentences_of_a_long_text_are_shown_whole() -> None:
    assert indication_of("Cough and fever. " + "no " * 5000) == "Cough and fever."
    assert indication_of("Cough " * 5000) == ""
    assert technique_of("PA and lateral views. " + "no " * 5000) == "PA and lateral views."


@given(st.lists(st.sampled_from(WORDS)))
def test_no_technique_names_a_finding(words: list[str]) -> None:
    assert list(find_mentions(technique_of(" ".join(words)))) == []


@given(st.text(max_size=300), st.text(max_size=200), st.text(max_size=200))
def test_what_is_shown_can_be_told_from_the_question(indication: str, technique: str, prior: str) -> None:
    said = Said("S.", indication=indication, technique=technique, prior=prior, position="frontal", lateral=True)
    for context in (ALL, Context(indication=True, always=True), Context()):
        shown = shown_of(said, "key", context, mixed=False)
        assert split_shown(f"{shown}Is it normal?\n\nOr not?") == (shown, "Is it normal?\n\nOr not?")
        assert shown.count("<image>") == (2 if context.lateral else 1)
    assert split_shown("Is it normal? <image>") == ("", "Is it normal? <image>")


def test_what_the_prompt_says_is_not_asked() -> None:
    said = Said("Clear.", technique="Portable AP.", position="lateral")
    kinds = {each.kind for key in range(50) for each in ask_all(said, str(key), ALL)}
    assert "view" not in kinds
    unsaid = Context(view=False, technique=False)
    assert "view" in {each.kind for key in range(50) for each in ask_all(said, str(key), unsaid)}


def sample(said: Said, key: str, context: Context) -> RawSample:
    record = SampleRecord(
        schema=SCHEMA, study=key, patient="p", views=[], split="test", indication="", findings=said.findings,
        impression=said.impression, summary=said.summary, conversation=converse(said, key, "mixed", context),
        labels=None, source="", licence="",
    )  # fmt: skip
    return RawSample(key, record, {})


def test_evaluation_asks_with_what_the_conversation_showed() -> None:
    own = 0
    for key in map(str, range(60)):
        made = sample(SAID, key, ALL)
        asked = question_of(made)
        shown, question = split_shown(asked)
        assert shown == shown_of(SAID, key, ALL, mixed=True)
        answers = [turn["content"] for turn in made.record["conversation"]]
        if asked in answers or question in answers:
            own += 1
            place = next(number for number, each in enumerate(answers) if each in (asked, question))
            assert answers[place + 1] == SAID.summary
    assert 0 < own < 60
