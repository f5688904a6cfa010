"""Without an image, an answer follows from what its question quotes; dialogues are kept where they are of images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.conversations import Said
from cxr_lightning.reports.dialogues import about_radiology, without_persona
from cxr_lightning.reports.textual import EXAMPLES, converse_in_text

pytestmark = pytest.mark.quick

FINDINGS = "There is a small left pleural effusion. The heart is normal in size. No pneumothorax."
SAID = Said(f"{FINDINGS} Left effusion.", FINDINGS, "Left effusion.", source="openi")
ONE_PART = Said(FINDINGS, FINDINGS, source="openi")


def test_findings_are_summed_up_and_then_questions_are_asked() -> None:
    lengths = set()
    for key in map(str, range(200)):
        turns = converse_in_text(SAID, key)
        lengths.add(len(turns))
        assert FINDINGS in turns[0]["content"]
        assert turns[1]["content"] == "Left effusion."
        for question, answer in zip(turns[2::2], turns[3::2], strict=True):
            assert "<image>" not in question["content"]
            assert answer["content"]
            assert not ("pneumothorax" in question["content"] and answer["content"].startswith("Yes"))
    assert {2, 6} <= lengths <= {2, 4, 6}


def test_one_part_is_quoted_or_is_an_example() -> None:
    examples = 0
    for key in map(str, range(200)):
        turns = converse_in_text(ONE_PART, key)
        if turns[0]["content"] in EXAMPLES:
            examples += 1
            assert turns[1]["content"] == FINDINGS
        else:
            assert FINDINGS in turns[0]["content"]
            assert turns[1]["content"] != FINDINGS
    assert 60 < examples < 140


@given(st.text(max_size=300), st.text(max_size=4))
def test_braces_and_marks_in_a_report_do_no_harm(text: str, key: str) -> None:
    for said in (Said(text, text), Said(text, text, "All clear.")):
        assert len(converse_in_text(said, key)) % 2 == 0


KEPT = (
    ("My chest X-ray report says bilateral hilar prominence. What does it mean?", "It may be nothing."),
    ("The MRI shows a herniated disc at L4. Do I need an operation?", "Not always."),
    ("I had an ultrasound and they found a cyst on my kidney.", "Simple cysts are harmless."),
    ("I fell. The X-rays confirmed a fracture, attached is the image.", "It will heal."),
    ("I cough.", "On the CT, consolidation with a pleural effusion would speak for pneumonia."),
    ("What is a mammogram report with BIRADS 3?", "A probably benign finding."),
    ("Radiologist said there is an opacity on the x ray of my lung", "It needs a second look."),
)
LEFT_OUT = (
    ("I have a cough and fever.", "We should do a chest X-ray and a blood count."),
    ("My knee hurts.", "An MRI may be needed. Rest it until then."),
    ("I have headaches.", "I recommend imaging tests such as a CT scan of the head."),
    ("Which medication helps against panic attacks?", "Cognitive therapy, and perhaps an SSRI."),
    ("I have an open wound.", "Keep it clean and see a doctor."),
    ("I feel like I have a mass in my stomach.", "Let us do some blood tests."),
)


@pytest.mark.parametrize("turn", KEPT)
def test_dialogues_about_images_are_kept(turn: tuple[str, str]) -> None:
    assert about_radiology([turn])
    assert about_radiology([("Hello doctor.", "Hello, how can I help?"), turn])


@pytest.mark.parametrize("turn", LEFT_OUT)
def test_dialogues_that_merely_recommend_one_are_not(turn: tuple[str, str]) -> None:
    assert not about_radiology([turn])


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Hello, thanks for your query on Chat Doctor. It is a vessel. Regards, ChatDoctor.", "It is a vessel."),
        ("Hi, welcome to HealthCareMagic. I am Dr. Smith. No fracture is seen. Take care.", "No fracture is seen."),
        ("The heart is normal. Hope this answers your question.", "The heart is normal."),
        ("No fracture at L4-5, e.g. none at 2.5 cm.", "No fracture at L4-5, e.g. none at 2.5 cm."),
        ("ChatDoctor.", "ChatDoctor."),
        ("Hello, the film is normal.", "The film is normal."),
        ("Hi, my chest x-ray showed a nodule.", "My chest x-ray showed a nodule."),
        ("Hello doctor. I cough.", "I cough."),
        ("Hello doctor, I have a cough. It hurts.", "I have a cough. It hurts."),
        (
            "I am Dr. Lee and your chest X-ray shows a large mass in the lung.",
            "Your chest X-ray shows a large mass in the lung.",
        ),
        ("Hi, this is Dr. Lee from Boston, the CT shows a mass. Bye.", "The CT shows a mass. Bye."),
        ("Dear user, your MRI was sent to ChatDoctor and shows a cyst.", "Your MRI was sent and shows a cyst."),
        ("Hello, how are you? Pneumothorax was seen. Regards, ChatDoctor.", "Pneumothorax was seen."),
        ("Hello. The nodule is 2.5 cm on CT. Take care.", "The nodule is 2.5 cm on CT."),
        (
            "Thanks for your question, I read the chest x-ray on icliniq.com and there is a mass. Rest.",
            "I read the chest x-ray and there is a mass. Rest.",
        ),
        ("Take care of that fracture. Take care.", "Take care of that fracture."),
    ],
)
def test_who_is_speaking_is_taken_out(text: str, cleaned: str) -> None:
    assert without_persona(text) == cleaned


@given(st.text(max_size=600))
def test_cleaning_only_removes(text: str) -> None:
    words = iter("".join(text.split()).casefold())
    assert all(char in words for char in "".join(without_persona(text).split()).casefold())


@given(st.text(alphabet=". ?!\n2xA,", max_size=40))
def test_sentences_are_all_of_the_text(text: str) -> None:
    words = without_persona(f"Hello. {text} Chest x-ray: 2.5 cm mass.").replace(" ", "")
    assert words.endswith("Chestx-ray:2.5cmmass.")
    assert sum(map(words.count, "2x")) == sum(map(text.count, "2x")) + 2


GREETINGS = (
    "Hi, ",
    "Hello doctor, ",
    "I am Dr. Lee and ",
    "Dear Sir; ",
    "Thanks for your query on ChatDoctor, ",
    "Hi ",
    "",
)
SIGNS = ("your x-ray shows a mass", "a pneumothorax was seen", "the CT is normal", "there is a fracture")


@given(st.lists(st.sampled_from(GREETINGS)), st.sampled_from(SIGNS), st.sampled_from((". Regards, ChatDoctor.", ".")))
def test_no_greeting_takes_a_finding_with_it(greetings: list[str], sign: str, end: str) -> None:
    assert sign.lower() in without_persona(f"{''.join(greetings)}{sign}{end} Rest well.").lower()
