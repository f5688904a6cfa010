from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.catalogue import CATALOGUE
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.observations import DEVICES, NO_FINDING, OBSERVATIONS, PARENTS, observe
from cxr_lightning.findings.severity import Severity

pytestmark = pytest.mark.quick

SAMPLES = Path(os.environ.get("CXR_REAL_DATA", "absent"), "section_samples", "chexpert_labeled_reports.csv")
STATES = {
    "1.0": Certainty.PRESENT,
    "0.0": Certainty.ABSENT,
    "-1.0": Certainty.UNCERTAIN,
    "": Certainty.UNMENTIONED,
}

WORDS: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": ("mediastinal widening", "widened mediastinum", "widening of the mediastinum"),
    "Cardiomegaly": ("cardiomegaly", "cardiac enlargement", "enlarged heart", "enlarged cardiac silhouette"),
    "Lung Lesion": ("nodule", "pulmonary mass", "nodular opacity", "lung cancer", "metastases", "cavitary lesion"),
    "Lung Opacity": ("opacity", "infiltrate", "airspace disease", "interstitial markings", "patchy opacities"),
    "Edema": ("edema", "interstitial oedema", "vascular congestion", "congestive heart failure", "cephalization"),
    "Consolidation": ("consolidation", "right lower lobe consolidation", "consolidations", "air bronchograms"),
    "Pneumonia": ("pneumonia", "bronchopneumonia", "pneumonitis", "infection", "infectious process", "PNA"),
    "Atelectasis": ("atelectasis", "bibasilar atelectasis", "lobar collapse"),
    "Pneumothorax": ("pneumothorax", "right apical pneumothorax", "ptx"),
    "Pleural Effusion": ("effusion", "pleural effusions", "hemothorax", "pleural fluid"),
    "Pleural Other": ("pleural thickening", "pleural plaques", "fibrothorax", "pleural scarring", "apical capping"),
    "Fracture": ("fracture", "rib fractures", "compression fracture"),
    "Support Devices": (
        "pacemaker",
        "PICC",
        "endotracheal tube",
        "central line",
        "chest tube",
        "tracheostomy",
        "ETT",
        "IABP",
    ),
}
"""How each observation may be said: at least one way of every row of the catalogue that states something."""

SAID = st.sampled_from([(name, words) for name, ways in WORDS.items() for words in ways])
LISTED = st.lists(SAID, min_size=1, max_size=4, unique=True)

CASES: list[tuple[str, dict[str, str]]] = [
    ("The cardiomediastinal silhouette is normal.", {"Enlarged Cardiomediastinum": "absent", "Cardiomegaly": "absent"}),
    ("Cardiomediastinal silhouette is enlarged.", {"Enlarged Cardiomediastinum": "present", "Cardiomegaly": "present"}),
    ("The heart is normal in size.", {"Cardiomegaly": "absent"}),
    (
        "The heart size and mediastinal contours are within normal limits.",
        {"Cardiomegaly": "absent", "Enlarged Cardiomediastinum": "absent"},
    ),
    (
        "Cardiac, mediastinal and hilar contours are normal.",
        {"Cardiomegaly": "absent", "Enlarged Cardiomediastinum": "absent"},
    ),
    ("Normal heart size.", {"Cardiomegaly": "absent"}),
    ("Heart size is at the upper limits of normal.", {"Cardiomegaly": "absent"}),
    ("Heart size upper limits of normal.", {"Cardiomegaly": "absent"}),
    ("Heart size is borderline.", {"Cardiomegaly": "uncertain"}),
    ("Please note that fractures may not be demonstrated.", {"Fracture": "absent"}),
    ("The heart is enlarged.", {"Cardiomegaly": "present"}),
    ("Heart is moderately enlarged.", {"Cardiomegaly": "present"}),
    ("There is moderate cardiomegaly.", {"Cardiomegaly": "present"}),
    ("The mediastinum is widened.", {"Enlarged Cardiomediastinum": "present"}),
    ("No mediastinal widening.", {"Enlarged Cardiomediastinum": "absent"}),
    ("There is mild pulmonary vascular congestion.", {"Edema": "present"}),
    ("No pulmonary vascular congestion or overt edema.", {"Edema": "absent"}),
    ("No evidence of congestive heart failure.", {"Edema": "absent"}),
    (
        "Bibasilar opacities may represent atelectasis or aspiration.",
        {"Lung Opacity": "present", "Atelectasis": "uncertain"},
    ),
    ("Left lower lobe opacity concerning for pneumonia.", {"Lung Opacity": "present", "Pneumonia": "uncertain"}),
    ("Left lower lobe opacity, likely pneumonia.", {"Lung Opacity": "present", "Pneumonia": "present"}),
    (
        "Retrocardiac opacity, atelectasis versus pneumonia.",
        {"Lung Opacity": "present", "Atelectasis": "uncertain", "Pneumonia": "uncertain"},
    ),
    (
        "Opacity could be due to pneumonia in the appropriate clinical setting.",
        {"Lung Opacity": "present", "Pneumonia": "uncertain"},
    ),
    (
        "No focal consolidation, pleural effusion or pneumothorax.",
        {"Consolidation": "absent", "Pleural Effusion": "absent", "Pneumothorax": "absent"},
    ),
    (
        "There is no focal consolidation, effusion, or pneumothorax.",
        {"Consolidation": "absent", "Pleural Effusion": "absent", "Pneumothorax": "absent"},
    ),
    ("Endotracheal tube terminates 4 cm above the carina.", {DEVICES: "present"}),
    ("The ET tube has been removed.", {DEVICES: "absent"}),
    ("Right chest tube in place without pneumothorax.", {DEVICES: "present", "Pneumothorax": "absent"}),
    ("Status post median sternotomy and aortic valve replacement.", {DEVICES: "present"}),
    ("An enteric tube courses below the diaphragm.", {DEVICES: "present"}),
    ("Old healed right rib fractures.", {"Fracture": "present"}),
    ("No acute displaced rib fracture is seen.", {"Fracture": "absent"}),
    ("No acute osseous abnormality.", {}),
    ("Biapical pleural thickening is unchanged.", {"Pleural Other": "present"}),
    ("Pleural effusion or thickening.", {"Pleural Effusion": "present", "Pleural Other": "present"}),
    ("A 6 mm nodule in the right upper lobe.", {"Lung Lesion": "present"}),
    ("No suspicious nodule or mass.", {"Lung Lesion": "absent"}),
    ("Calcified granuloma in the left lower lobe.", {}),
    ("The thyroid mass displaces the trachea.", {}),
    ("Residuals of prior granulomatous infection.", {}),
    ("The lungs are clear.", {}),
    ("Pulmonary vascular engorgement appears within limits of normal.", {"Edema": "absent"}),
    ("Interval resolution of right pleural effusion.", {"Pleural Effusion": "absent"}),
    ("Left hydropneumothorax.", {"Pleural Effusion": "present", "Pneumothorax": "present"}),
    ("Pneumonia has resolved.", {"Pneumonia": "absent"}),
    ("Pneumothorax cannot be excluded.", {"Pneumothorax": "uncertain"}),
    ("Subtle opacity may obscure a nodule.", {"Lung Opacity": "present", "Lung Lesion": "uncertain"}),
    ("Pneumonia may be obscured.", {"Pneumonia": "uncertain"}),
    ("Right effusion, small, if any.", {"Pleural Effusion": "uncertain"}),
    (
        "Increase in opacities, which may reflect edema, although infection cannot be excluded.",
        {"Lung Opacity": "present", "Edema": "uncertain", "Pneumonia": "uncertain"},
    ),
    ("Effusion is unchanged. No effusion on the right.", {"Pleural Effusion": "present"}),
    ("Possible effusion. No effusion on the right.", {"Pleural Effusion": "uncertain"}),
]


@pytest.mark.parametrize(("text", "states"), CASES, ids=[case[0][:60] for case in CASES])
def test_reads_as_a_radiologist_would(text: str, states: dict[str, str]) -> None:
    seen = {name: str(each.certainty) for name, each in observe(text).readings.items() if name != NO_FINDING}
    assert {name: state for name, state in seen.items() if state != "unmentioned"} == states


@pytest.mark.real
@pytest.mark.skipif(not SAMPLES.is_file(), reason="CXR_REAL_DATA names no folder with section_samples")
def test_chexpert_sample_reports_get_every_label_right() -> None:
    with SAMPLES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        seen = {name: observe(row["Reports"])[name].certainty for name in OBSERVATIONS}
        assert seen == {name: STATES[row[name]] for name in OBSERVATIONS}


def test_names_are_those_of_the_catalogue() -> None:
    named = {name for row in CATALOGUE for name in row.observations}
    assert named | {NO_FINDING} == set(OBSERVATIONS)
    assert set(WORDS) == named
    assert set(PARENTS) | set(PARENTS.values()) <= set(OBSERVATIONS)


def joined(said: list[tuple[str, str]], joint: str) -> str:
    words = [each for _, each in said]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" {joint} {words[-1]}"


@given(LISTED, st.sampled_from(("There is", "Probable", "Unchanged", "Findings consistent with")))
def test_a_list_is_stated(said: list[tuple[str, str]], cue: str) -> None:
    assert observe(f"{cue} {joined(said, 'and')}.").stated - {NO_FINDING} == {name for name, _ in said}


@given(
    LISTED,
    st.sampled_from(
        ("No", "There is no", "No evidence of", "Without", "Lungs are without", "Negative for", "Resolved")
    ),
)
def test_no_and_without_deny_a_list(said: list[tuple[str, str]], cue: str) -> None:
    seen = observe(f"{cue} {joined(said, 'or')}.")
    assert {name for name, _ in said} <= seen.named(Certainty.ABSENT)
    assert seen.stated <= {NO_FINDING}


@given(LISTED, st.sampled_from(("Cannot exclude", "Could not rule out", "Possible", "Questionable", "May represent")))
def test_cannot_exclude_leaves_a_list_open(said: list[tuple[str, str]], cue: str) -> None:
    seen = observe(f"{cue} {joined(said, 'or')}.")
    assert seen.named(Certainty.UNCERTAIN) == {name for name, _ in said}
    assert seen.stated <= {NO_FINDING}, "a device in doubt is no finding"


@given(SAID, st.sampled_from(("has resolved", "have resolved", "is no longer seen", "has completely resolved")))
def test_what_has_resolved_is_absent(said: tuple[str, str], verdict: str) -> None:
    name, words = said
    assert observe(f"The {words} {verdict}.")[name].certainty is Certainty.ABSENT


@given(SAID, st.sampled_from(("cannot be excluded", "is not excluded", "is possible", "is suspected")))
def test_what_cannot_be_excluded_is_open(said: tuple[str, str], verdict: str) -> None:
    name, words = said
    assert observe(f"The {words} {verdict}.")[name].certainty is Certainty.UNCERTAIN


@given(SAID, st.sampled_from(("No change in the", "No significant interval change in the", "Partially resolved")))
def test_what_is_unchanged_or_nearly_gone_is_there(said: tuple[str, str], cue: str) -> None:
    assert observe(f"{cue} {said[1]}.")[said[0]].certainty is Certainty.PRESENT


@given(LISTED, LISTED)
def test_a_denial_takes_nothing_from_what_is_stated(
    there: list[tuple[str, str]], denied: list[tuple[str, str]]
) -> None:
    text = f"No {joined(denied, 'or')}. There is {joined(there, 'and')}."
    assert observe(text).stated - {NO_FINDING} == {name for name, _ in there}


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert set(observe(text).readings) == set(OBSERVATIONS)


def test_no_finding_is_that_of_a_chest_without_findings() -> None:
    assert observe("The lungs are clear.").stated == {NO_FINDING}
    assert observe("PICC in place. No effusion.").stated == {NO_FINDING, DEVICES}, "devices are no finding"
    for text in ("", "asdf qwer", "Possible effusion.", "Cardiomegaly."):
        assert NO_FINDING not in observe(text).stated


def test_sides_and_severity_are_read_where_they_are_said() -> None:
    seen = observe("Large right and small left pleural effusions. Mildly enlarged heart. A nodule in the left lung.")
    assert seen["Pleural Effusion"].sides == {"left", "right"}
    assert seen["Pleural Effusion"].severity is Severity.SEVERE
    assert seen["Cardiomegaly"].severity is Severity.MILD
    assert seen["Lung Lesion"].sides == {"left"}
    seen = observe("Mild to moderate edema and a large pneumothorax on the right. No left effusion.")
    assert seen["Edema"].severity is Severity.MODERATE
    assert (seen["Pneumothorax"].severity, seen["Pneumothorax"].sides) == (Severity.SEVERE, {"right"})
    assert seen["Fracture"].severity is None


def test_hierarchy_fills_in_what_a_finding_is_a_case_of() -> None:
    assert observe("Pneumonia. Cardiomegaly.").implied == {
        "Pneumonia",
        "Consolidation",
        "Lung Opacity",
        "Cardiomegaly",
        "Enlarged Cardiomediastinum",
    }


def test_broken_answers_that_never_end_are_read_in_time() -> None:
    started = time.process_time()
    for phrase in ("left nodule or", "cardiac, mediastinal,", "no", "heart size and"):
        for number in range(5):
            assert observe(f"{number} " + " ".join([phrase] * 2000)).readings
    assert time.process_time() - started < 10, "its time grows with the length, not with its square"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Tiny left pneumothorax, expected post tube removal.", "Support Devices", "absent"),
        ("Tiny left pneumothorax, expected post tube removal.", "Pneumothorax", "present"),
        ("Pneumothorax following chest tube removal.", "Support Devices", "absent"),
        ("Status post chest tube removal with small pneumothorax.", "Support Devices", "absent"),
        ("Status post chest tube removal with small pneumothorax.", "Pneumothorax", "present"),
        ("Pneumothorax after PICC line removal, left chest tube in place.", "Support Devices", "present"),
        ("Chest tube removal is recommended.", "Support Devices", "present"),
        ("There is a skin fold over the left lung that mimics a pneumothorax.", "Pneumothorax", "absent"),
        ("A skin fold could mimic a pneumothorax.", "Pneumothorax", "uncertain"),
        ("Skin fold mimicking a pneumothorax and left pneumothorax.", "Pneumothorax", "present"),
        ("Apparent enlargement of the heart is due to AP technique.", "Cardiomegaly", "uncertain"),
        ("Apparent enlargement of the heart.", "Cardiomegaly", "present"),
        ("Enlargement of the heart is due to failure.", "Cardiomegaly", "present"),
        ("The opacity proved to be a nipple shadow.", "Lung Opacity", "absent"),
        ("The opacity proved to be pneumonia.", "Lung Opacity", "present"),
        ("The left lung has collapsed. The right lung is clear.", "Atelectasis", "present"),
        ("Collapsed right lower lobe.", "Atelectasis", "present"),
        ("No collapsed lobe.", "Atelectasis", "absent"),
    ],
)
def test_what_is_disclaimed_or_taken_out_is_not_there(text: str, name: str, expected: str) -> None:
    assert observe(text)[name].certainty.value == expected


@pytest.mark.parametrize(
    ("text", "name", "step"),
    [
        ("Cardiac silhouette is enlarged with mildly tortuous aorta.", "Cardiomegaly", None),
        ("Cardiomegaly, mild degenerative changes.", "Cardiomegaly", None),
        ("Cardiomegaly and severe scoliosis.", "Cardiomegaly", None),
        ("Pleural effusion, small, on the left.", "Pleural Effusion", 1),
        ("The pleural effusion is large.", "Pleural Effusion", 3),
        ("Mild cardiomegaly with tortuous aorta.", "Cardiomegaly", 1),
    ],
)
def test_a_grade_belongs_to_the_noun_beside_it(text: str, name: str, step: int | None) -> None:
    assert observe(text)[name].severity == step
