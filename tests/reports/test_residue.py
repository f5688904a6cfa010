"""The residue detector finds what was planted, and does not cry over what is no residue; it is not the cleaner."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports import residue
from cxr_lightning.reports.residue import KINDS, Residue, residue_of

pytestmark = pytest.mark.quick
GOOD = "The heart is normal in size. There is a small left pleural effusion without pneumothorax."


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ("Compared to the prior study the lungs are clear.", "priors"),
        ("Cardiomegaly is unchanged.", "priors"),
        ("The opacity has increased.", "priors"),
        ("Edema worse than before, newly seen.", "priors"),
        ("No significant change.", "priors"),
        ("Right basilar opacity again seen.", "priors"),
        ("Since ___ there is less fluid.", "priors"),
        ("The tube has been removed.", "priors"),
        ("Heart size is now normal.", "priors"),
        ("Grossly similar compression fracture.", "priors"),
        ("The effusion is smaller.", "priors"),
        ("A larger effusion is seen.", "priors"),
        ("Increasing opacity.", "priors"),
        ("The opacity is more prominent.", "priors"),
        ("There is less prominent edema.", "priors"),
        ("The appearance changed.", "priors"),
        ("Development of a nodule.", "priors"),
        ("Cleared edema in the interim.", "priors"),
        ("Clear lungs on today's exam.", "priors"),
        ("Increased right effusion.", "priors"),
        ("Large right effusion, up from moderate.", "priors"),
        ("Pre-existing left basal opacity.", "priors"),
        ("Continued opacification at the left base.", "priors"),
        ("The patient has taken a somewhat better inspiration.", "priors"),
        ("The patient has received a left-sided PICC line.", "priors"),
        ("Right pneumothorax which was not present is moderate.", "priors"),
        ("The effusion was large.", "priors"),
        ("Heart is larger than before.", "priors"),
        ("Growing left nodule.", "priors"),
        ("Pneumothorax has recurred.", "priors"),
        ("Slightly decreased pneumothorax.", "priors"),
        ("Seen on ___ by the doctor.", "blanks"),
        ("The XXXX are intact.", "blanks"),
        ("Told to [**Name**] today.", "blanks"),
        ("As an AI language model, I see clear lungs.", "as an AI"),
        ("I'm sorry, but I cannot say.", "as an AI"),
        ("Is there pneumonia?", "questions"),
    ],
)
def test_what_is_planted_is_found(planted, kind):
    assert kind in residue_of(f"{GOOD} {planted}")


@pytest.mark.parametrize(
    "text",
    [
        "El corazón es de tamaño normal y los pulmones están limpios sin derrame pleural.",
        "Das Herz ist normal groß und die Lunge ist frei, kein Erguss und kein Pneumothorax.",
        "Le coeur est de taille normale et les poumons sont clairs sans épanchement.",
        "心脏大小正常，双肺清晰，无胸腔积液。",
        "Сердце не увеличено, лёгкие чистые.",
    ],
)
def test_other_languages_are_found(text):
    assert "another language" in residue_of(text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Prior granulomatous disease. Evidence of prior median sternotomy.",
        "Effusion on the left, worse on the right compared to the left.",
        "Effusions, right larger than left. The larger of two nodules. Markings more prominent in the bases.",
        "Degenerative change. Undeveloped lung.",
        "Joint space narrowing in the medial compartment.",
        "Minimal degenerative changes of the spine. No changes of emphysema.",
        "Increased interstitial markings. Decreased lung volumes. Increased AP diameter. Increased bone density.",
        "A 5 µm filter. Clips.",
        "",
    ],
)
def test_what_is_no_residue_is_left_alone(text):
    assert residue_of(text) == frozenset()


def test_shares_are_of_texts_not_of_hits():
    counts = Residue()
    assert set(counts.shares) == set(KINDS)
    assert counts.shares["priors"] == 0
    for text in ("Unchanged. Stable. Prior.", GOOD, GOOD, "Is it ___?"):
        counts.add(text)
    assert counts.n == 4
    assert counts.shares == {"priors": 0.25, "blanks": 0.25, "as an AI": 0, "questions": 0.25, "another language": 0}


def test_the_detector_shares_no_code_with_the_cleaner():
    # Else it could only find what the cleaner knows, and would find nothing.
    imported = [line for line in inspect.getsource(residue).splitlines() if "import" in line.split()[:1]]
    assert not any("cxr_lightning" in line for line in imported)
    assert "from cxr_lightning" not in inspect.getsource(residue)


@given(st.text())
def test_any_text_has_known_residue(text):
    assert residue_of(text) <= set(KINDS)
