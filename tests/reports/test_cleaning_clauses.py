"""A sentence's statements are cleaned one by one: what needs no other study is kept, and nothing else is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.clauses import split_clauses
from cxr_lightning.reports.cleaning import clean

pytestmark = pytest.mark.quick

KEPT = {
    # One clause needs another study, the other does not.
    "There is no focal consolidation, effusion, or pneumothorax, and heart size is unchanged.": (
        "There is no focal consolidation, effusion, or pneumothorax."
    ),
    "Mediastinal and hilar contours are stable, and no pneumothorax is present.": "No pneumothorax is present.",
    "Heart size is stable and there is no pneumothorax.": "There is no pneumothorax.",
    "Effusion has resolved, but a small pneumothorax remains.": "A small pneumothorax.",
    "The left lung is clear and the right effusion has increased since prior.": (
        "The left lung is clear. Right effusion."
    ),
    "There is no change, and no effusion.": "No effusion.",
    "The lungs are clear, and the aorta is tortuous.": "The lungs are clear, and the aorta is tortuous.",
    # What opens a sentence.
    "Redemonstrated is severe emphysema.": "Severe emphysema.",
    "Without interval change, there is left lower lobe collapse.": "There is left lower lobe collapse.",
    "There has been development of a small nodule.": "A small nodule.",
    # What was placed is there, and where.
    "ETT, NG tube and right IJ line are in unchanged position.": "ETT, NG tube and right IJ line are in position.",
    "Left chest tube has been placed.": "Left chest tube.",
    "A right PICC has been placed with its tip in the SVC.": "A right PICC with its tip in the SVC.",
    # How it is now.
    "Improvement in pulmonary edema, now mild.": "Pulmonary edema, mild.",
    "Heart size is now normal.": "Heart size is normal.",
    "Grossly similar midthoracic vertebral fracture.": "Midthoracic vertebral fracture.",
    "Increasing left basilar opacity.": "Left basilar opacity.",
    "Lungs appear clear on today's exam.": "Lungs appear clear.",
    "Opacity right base unchanged.": "Opacity right base.",
    "Bilateral effusions, right larger than left.": "Bilateral effusions, right larger than left.",
}
GONE = (
    "No significant change in pneumothorax or right pleural fluid.",
    "No new consolidation, and pleural effusion is seen.",
    "Compared to the right, the left effusion is larger.",
    "CT from ___ showed emphysema.",
    "A chest tube has been placed and removed.",
    "The heart, XXXX, and mediastinum are normal.",
    "No increasing effusion.",
    "No development of effusion.",
    "Cleared left lower lobe airspace disease.",
    "Decreasing lung volumes.",
    "Left base is worse.",
    "Grossly similar appearance of the heart and mediastinum.",
    "Previously identified nodule is not well-seen on today's study.",
)


@pytest.mark.parametrize(("text", "wanted"), KEPT.items(), ids=list(KEPT))
def test_what_this_study_shows_stays(text, wanted):
    assert clean(text) == wanted


@pytest.mark.parametrize("text", GONE)
def test_what_it_does_not_show_goes(text):
    assert clean(text) == ""


WORDS = [
    "no",
    "there",
    "is",
    "are",
    "the",
    "effusion,",
    "and",
    "but",
    "while",
    "heart",
    "clear",
    "new",
    "pneumothorax",
    "seen",
    "it",
    "has",
    ",",
    "if",
]


@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))
def test_clauses_together_are_the_sentence(sentence):
    assert "".join(joint + clause for joint, clause in split_clauses(sentence)) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "No consolidation, and pleural effusion is seen",
        "Heart and lungs are clear",
        "There is a nodule, and it measures 5 mm",
        "If the effusion has grown, and there is fever, repeat it",
        "The aorta is ectatic but stable",
    ],
)
def test_what_hangs_together_is_not_parted(sentence):
    assert split_clauses(sentence) == [("", sentence)]
