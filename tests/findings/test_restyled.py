"""What models and hurried people write: other negations, other layouts, other films, other sections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.located import find
from cxr_lightning.findings.observations import DEVICES, NO_FINDING, OBSERVATIONS, observe
from cxr_lightning.findings.sentences import split_sentences
from tests.findings.test_observations import SAID, WORDS

pytestmark = pytest.mark.quick

EFFUSION, PNEUMOTHORAX, PNEUMONIA, HEART = "Pleural Effusion", "Pneumothorax", "Pneumonia", "Cardiomegaly"
OPACITY, EDEMA, ATELECTASIS, CONSOLIDATION = "Lung Opacity", "Edema", "Atelectasis", "Consolidation"
Reading = tuple[str, set[str], set[str], set[str]]

CASES: list[Reading] = [
    # A negated verb: present, absent, uncertain.
    ("The image does not show any evidence of pneumothorax.", set(), {PNEUMOTHORAX}, set()),
    ("No lung shows consolidation.", set(), {CONSOLIDATION}, set()),
    ("I don't see any pneumothorax.", set(), {PNEUMOTHORAX}, set()),
    ("I don’t see any pneumothorax or effusion.", set(), {PNEUMOTHORAX, EFFUSION}, set()),
    ("There is nothing to suggest pneumonia.", set(), {PNEUMONIA}, set()),
    ("The film fails to show edema.", set(), {EDEMA}, set()),
    ("The film did not reveal an effusion, but shows edema.", {EDEMA}, {EFFUSION}, set()),
    ("This does not show any change in the effusion.", {EFFUSION}, set(), set()),
    ("There isn’t any effusion.", set(), {EFFUSION}, set()),
    ("Lungs w/o infiltrate.", set(), {OPACITY}, set()),
    ("Film is neg for pneumonia.", set(), {PNEUMONIA}, set()),
    # Layout.
    ("**Pleural Effusion:** None.", set(), {EFFUSION}, set()),
    ("**Pneumothorax**: No", set(), {PNEUMOTHORAX}, set()),
    ("Pneumothorax - None", set(), {PNEUMOTHORAX}, set()),
    ("Pneumothorax – none, edema — mild.", {EDEMA}, {PNEUMOTHORAX}, set()),
    ("Pleural effusion (none)", set(), {EFFUSION}, set()),
    ("| Pneumothorax | No |\n| Edema | Yes |", {EDEMA}, {PNEUMOTHORAX}, set()),
    ("| Finding | State |\n|---|---|\n| Edema | Present |\n| Effusion | Absent |", {EDEMA}, {EFFUSION}, set()),
    ("Pneumothorax: 0", set(), {PNEUMOTHORAX}, set()),
    ("Nodule: 0.5 cm", {"Lung Lesion"}, set(), set()),
    ("Edema: false", set(), {EDEMA}, set()),
    ('{"pneumothorax": "no", "edema": "yes"}', {EDEMA}, {PNEUMOTHORAX}, set()),
    ('{\n  "pneumothorax": false,\n  "edema": true\n}', {EDEMA}, {PNEUMOTHORAX}, set()),
    ("pneumothorax: no\nedema: yes", {EDEMA}, {PNEUMOTHORAX}, set()),
    ("### Effusion\nNone", set(), {EFFUSION}, set()),
    ("### Effusion\n\nSmall on the left.\n\n### Pneumothorax\n\nNone.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("**Left effusion**\n**No pneumothorax**", {EFFUSION}, {PNEUMOTHORAX}, set()),
    # Lines.
    ("No pneumothorax\nLeft pleural effusion\nCardiomegaly", {EFFUSION, HEART}, {PNEUMOTHORAX}, set()),
    ("NO PNEUMOTHORAX\nLEFT EFFUSION", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("NO PNEUMOTHORAX.LEFT EFFUSION", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("There is no\nPneumothorax or\nEffusion", set(), {PNEUMOTHORAX, EFFUSION}, set()),
    ("No focal consolidation,\nEffusion, or pneumothorax", set(), {CONSOLIDATION, EFFUSION, PNEUMOTHORAX}, set()),
    # Where a list that is denied ends.
    ("No pneumothorax, bilateral effusions.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("No pleural effusion, right pneumothorax is seen.", {PNEUMOTHORAX}, {EFFUSION}, set()),
    ("No pneumothorax, increasing left effusion.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("No effusion, right chest tube in place.", {DEVICES}, {EFFUSION}, set()),
    ("No effusion, chest tube in place.", {DEVICES}, {EFFUSION}, set()),
    ("No focal airspace disease, heart is enlarged", {HEART}, {OPACITY}, set()),
    (
        "No pneumothorax or effusion, heart size normal, right lower lobe pneumonia.",
        {PNEUMONIA},
        {PNEUMOTHORAX, EFFUSION, HEART},
        set(),
    ),
    ("No pneumothorax, effusion is unchanged.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("No pneumothorax, effusion on the left.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("No pneumothorax - right effusion.", {EFFUSION}, {PNEUMOTHORAX}, set()),
    ("No pneumothorax, effusion, consolidation is seen.", set(), {PNEUMOTHORAX, EFFUSION, CONSOLIDATION}, set()),
    ("No pneumothorax, right effusion, or edema.", set(), {PNEUMOTHORAX, EFFUSION, EDEMA}, set()),
    # Resolution that is denied, and the film before.
    ("New right effusion not present on the prior study.", {EFFUSION}, set(), set()),
    ("Consolidation not seen on the prior radiograph is now present.", {CONSOLIDATION}, set(), set()),
    ("There is no resolution of the effusion.", {EFFUSION}, set(), set()),
    ("No clearing of the right lower lobe consolidation.", {CONSOLIDATION}, set(), set()),
    ("Resolved pneumonia with residual effusion.", {EFFUSION}, {PNEUMONIA}, set()),
    ("Edema has resolved and effusions persist.", {EFFUSION}, {EDEMA}, set()),
    ("No evidence of change of the left effusion.", {EFFUSION}, set(), set()),
    ("Effusion seen on the prior study is no longer seen.", set(), {EFFUSION}, set()),
    ("The effusion was not present previously.", {EFFUSION}, set(), set()),
    ("Effusion: no significant change.", {EFFUSION}, set(), set()),
    ("No acute abnormality, old right rib fracture.", {"Fracture"}, set(), set()),
    # What is weighed against what.
    ("Bibasilar opacities, favor atelectasis over pneumonia.", {OPACITY, ATELECTASIS}, {PNEUMONIA}, set()),
    ("Opacity more likely atelectasis than pneumonia.", {OPACITY, ATELECTASIS}, {PNEUMONIA}, set()),
    ("Opacity is atelectasis, pneumonia less likely.", {OPACITY, ATELECTASIS}, {PNEUMONIA}, set()),
    ("Pneumonia is less likely than atelectasis.", {ATELECTASIS}, {PNEUMONIA}, set()),
    ("Effusions, if present, are small.", set(), set(), {EFFUSION}),
    ("Pneumonia is unlikely but cannot be excluded.", set(), set(), {PNEUMONIA}),
    # The heart.
    ("Heart is non-enlarged.", set(), {HEART}, set()),
    ("Heart not significantly enlarged.", set(), {HEART}, set()),
    ("The heart isn't enlarged.", set(), {HEART}, set()),
    ("The heart is normal to mildly enlarged.", set(), set(), {HEART}),
    ("Lungs: clear. Heart: enlarged.", {HEART}, set(), set()),
    ("**Heart size:** Normal.", set(), {HEART}, set()),
    ("| Heart | Mildly enlarged |", {HEART}, set(), set()),
    # Sections that are not about the image, and history in a sentence.
    ("HISTORY: Pneumonia.\nFINDINGS: The lungs are clear.", set(), set(), set()),
    ("HISTORY: Pneumonia. FINDINGS: The lungs are clear.", set(), set(), set()),
    ("CLINICAL HISTORY: 65 year old with pneumothorax. IMPRESSION: Normal chest.", set(), set(), set()),
    ("Indication: pacemaker placement, eval for pneumothorax", set(), set(), set()),
    ("**Indication:** effusion.\n\n**Findings:** Edema.", {EDEMA}, set(), set()),
    ("INDICATION:\n\n pneumonia\n\nCOMPARISON: Effusion before.\nFINDINGS: Edema.", {EDEMA}, set(), set()),
    ("HISTORY: Pneumonia. Edema is seen.", {EDEMA}, set(), set()),
    ("Edema. COMPARISON: effusion in May.", {EDEMA}, set(), set()),
    ("History of CHF with cardiomegaly and effusions.", {HEART, EFFUSION}, {EDEMA}, set()),
]


@pytest.mark.parametrize(("text", "present", "absent", "uncertain"), CASES, ids=[case[0][:60] for case in CASES])
def test_reads_what_others_write(text: str, present: set[str], absent: set[str], uncertain: set[str]) -> None:
    seen = observe(text)
    assert seen.stated - {NO_FINDING} == present
    assert seen.named(Certainty.ABSENT) == absent
    assert seen.named(Certainty.UNCERTAIN) == uncertain


@pytest.mark.parametrize(
    "text",
    [
        "As an AI, I cannot interpret chest radiographs.",
        "I'm sorry, but I can't provide a diagnosis; normal chests have no effusion.",
        "chest",
        "Chest radiograph.",
        "Abnormal chest.",
        "The chest is abnormal. No pneumothorax.",
        "The lungs are not clear.",
        "The lungs aren’t clear.",
        "Whiteout of the left lung.",
        "Pulmonary fibrosis is seen in both lungs.",
        "HISTORY: normal chest last year.",
    ],
)
def test_what_does_not_say_that_a_chest_is_sound_is_no_normal_report(text: str) -> None:
    assert NO_FINDING not in observe(text).stated


@pytest.mark.parametrize(
    "text",
    [
        "Normal chest.",
        "No acute cardiopulmonary abnormality.",
        "**Lungs:** Clear.",
        "Unremarkable examination.",
        "No active disease.",
        "No abnormal lung markings. No effusion.",
        "There is no evidence of abnormal lung findings.",
        "HISTORY: Pneumonia. FINDINGS: The lungs are clear.",
    ],
)
def test_a_chest_that_is_called_sound_has_no_finding(text: str) -> None:
    assert NO_FINDING in observe(text).stated


def test_a_heart_that_is_not_enlarged_has_no_severity_of_enlargement_denied() -> None:
    assert observe("The heart is normal to mildly enlarged.")["Cardiomegaly"].certainty is Certainty.UNCERTAIN


STATES = st.lists(st.tuples(SAID, st.booleans()), min_size=1, max_size=6, unique_by=lambda each: each[0][0])
DENIALS = st.sampled_from(
    ("No {}", "There is no {}", "The image does not show any {}", "I don't see {}", "There isn’t any {}", "W/o {}")
)
STYLES = st.sampled_from(
    ("{}. ", "{}\n", "- {}\n", "* {}\n", "**{}**\n", "1. {}.\n", "_{}._\n\n", "| {} |\n", "> {}.\n", "{}; ")
)


@given(STATES, DENIALS, STYLES)
def test_the_same_sentences_in_another_style_say_the_same(
    states: list[tuple[tuple[str, str], bool]], denial: str, style: str
) -> None:
    lines = [f"There is {words}" if there else denial.format(words) for (_, words), there in states]
    seen = observe("".join(style.format(line) for line in lines))
    assert seen.stated - {NO_FINDING} == {name for (name, _), there in states if there}
    assert seen.named(Certainty.ABSENT) == {name for (name, _), there in states if not there}


TABLES = st.sampled_from(("{}: {}\n", "**{}:** {}\n", "- **{}**: {}\n", "| {} | {} |\n", "{} - {}\n", "### {}\n{}\n\n"))


@given(STATES, TABLES, st.sampled_from(("No", "None", "Absent", "Negative")))
def test_findings_and_values_are_read_in_every_layout(
    states: list[tuple[tuple[str, str], bool]], layout: str, denied: str
) -> None:
    text = "".join(layout.format(words.capitalize(), "Yes" if there else denied) for (_, words), there in states)
    seen = observe(text)
    assert seen.stated - {NO_FINDING} == {name for (name, _), there in states if there}
    assert seen.named(Certainty.ABSENT) == {name for (name, _), there in states if not there}


@given(st.integers(20, 100), st.sampled_from(("", "right ", "left basal ")))
def test_a_long_list_keeps_what_governs_it(length: int, where: str) -> None:
    names = [words for ways in WORDS.values() for words in ways]
    text = "No " + ", ".join(where + names[number % len(names)] for number in range(length)) + ", or fracture."
    assert observe(text).stated <= {NO_FINDING}


@given(st.text(alphabet='*#|_`"’\n \tNo: effusion.HISTORY;-1,()', max_size=400))
def test_sentences_joined_are_the_text_in_any_style(text: str) -> None:
    assert "".join(split_sentences(text)) == text
    assert set(observe(text).readings) == set(OBSERVATIONS)


def test_a_wrapped_line_goes_on() -> None:
    text = "There is a catheter from the right side, and there is no sign of any\nPICC or effusion. The heart is\n"
    text += "enlarged."
    assert observe(text)[EFFUSION].certainty is Certainty.ABSENT
    assert observe(text)[HEART].certainty is Certainty.PRESENT
    assert find("No focal consolidation in the right\nLower lobe.") == set()
