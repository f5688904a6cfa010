from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.catalogue import CATALOGUE
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.located import LABELS, find, find_mentions, split_sentences

pytestmark = pytest.mark.quick

PE_L, PE_R = "pleural_effusion:left", "pleural_effusion:right"
PX_L, PX_R = "pneumothorax:left", "pneumothorax:right"
AT_L, AT_R = "atelectasis:left", "atelectasis:right"

CASES: list[tuple[str, set[str]]] = [
    # Normal chests, in the words that fill archives.
    ("", set()),
    ("No acute cardiopulmonary abnormality.", set()),
    ("The lungs are clear. No focal consolidation, pleural effusion, or pneumothorax. Heart size is normal.", set()),
    ("No focal consolidation, large pleural effusion or pneumothorax is seen.", set()),
    ("There is no evidence of pneumothorax or effusion on either side, right or left.", set()),
    ("Cardiomediastinal silhouette is within normal limits.", set()),
    ("Heart size is at the upper limits of normal.", set()),
    ("The heart is not enlarged.", set()),
    ("No cardiomegaly. No interstitial edema.", set()),
    ("The lungs are free of nodules in the right upper lobe.", set()),
    ("No pneumothorax, effusion, or right lower lobe consolidation.", set()),
    ("Negative for pneumonia in the right lower lobe.", set()),
    ("The left costophrenic angle is sharp.", set()),
    ("Effusion: none on the left.", set()),
    # Resolved, removed, hedged.
    ("The left pleural effusion has resolved.", set()),
    ("Interval resolution of the right pneumothorax.", set()),
    ("Resolved left effusion.", set()),
    ("The pacemaker has been removed.", set()),
    ("Right effusion and left pneumothorax have both resolved.", set()),
    ("No definite right pneumothorax.", set()),
    ("A small left pleural effusion cannot be excluded.", set()),
    ("Cannot exclude a right lower lobe consolidation.", set()),
    ("Possible left basilar atelectasis.", set()),
    ("Right pneumothorax is no longer seen.", set()),
    ("A left pneumothorax is not identified.", set()),
    ("Left pleural effusion is unlikely.", set()),
    ("INDICATION: evaluate for right pneumothorax.", set()),
    ("History of left pneumothorax.", set()),
    ("Bilateral pleural effusions suspected.", set()),
    ("Opacities which may be due to pulmonary edema.", set()),
    ("Pulmonary edema is difficult to entirely exclude.", set()),
    ("Differential diagnosis includes infection, aspiration, atypical pulmonary edema.", set()),
    ("Cardiac silhouette size is borderline enlarged.", set()),
    ("Heart size is upper limits normal or mildly enlarged.", set()),
    ("Blunting of the right costophrenic angle.", set()),
    # Likely is stated.
    ("Probable small left pleural effusion.", {PE_L}),
    ("Opacity at the right base, likely atelectasis.", {AT_R}),
    # Only looks like negation.
    ("No change in the left pleural effusion.", {PE_L}),
    ("No significant interval change in the right pneumothorax.", {PX_R}),
    ("Left effusion, not significantly changed.", {PE_L}),
    ("The right pneumothorax has not changed.", {PX_R}),
    ("Nearly resolved left pneumothorax.", {PX_L}),
    ("Left effusion has increased, right effusion has resolved.", {PE_L}),
    # Negation ends.
    ("No pneumothorax, but a small right effusion is seen.", {PE_R}),
    ("No pneumothorax; moderate left pleural effusion.", {PE_L}),
    ("No pneumothorax, small left effusion.", {PE_L}),
    ("There is no pneumothorax and there is a large left effusion.", {PE_L}),
    ("No pneumothorax is seen, left effusion is unchanged.", {PE_L}),
    ("Left effusion without pneumothorax.", {PE_L}),
    ("No acute process except for a small right pleural effusion.", {PE_R}),
    ("Heart is not enlarged, with a small left effusion.", {PE_L}),
    ("No consolidation aside from left basilar atelectasis.", {AT_L}),
    # Sides.
    ("Bilateral pleural effusions.", {PE_L, PE_R}),
    ("Pleural effusions, right greater than left.", {PE_L, PE_R}),
    ("Small right and moderate left pleural effusions.", {PE_L, PE_R}),
    ("Small right and left pleural effusions.", {PE_L, PE_R}),
    ("There are effusions on both sides.", {PE_L, PE_R}),
    ("Bibasilar atelectasis.", {AT_L, AT_R}),
    ("Left-sided pleural effusion.", {PE_L}),
    ("A small effusion is noted on the left.", {PE_L}),
    ("On the left, there is a small pleural effusion.", {PE_L}),
    ("The left costophrenic angle is blunted by a small pleural effusion.", {PE_L}),
    ("Small pleural effusions.", {PE_L, PE_R}),
    ("Large left pneumothorax with mediastinal shift to the right.", {PX_L}),
    ("Left hydropneumothorax.", {PE_L, PX_L}),
    ("Small right apical pneumothorax.", {PX_R}),
    ("Left effusion with adjacent atelectasis.", {PE_L, AT_L}),
    ("Atelectasis and a small effusion at the left base.", {PE_L, AT_L}),
    ("Moderate left effusion and right basilar atelectasis.", {PE_L, AT_R}),
    ("The right lung is clear and there is a left effusion.", {PE_L}),
    ("Plate-like atelectasis at the right lung base with a raised right hemidiaphragm.", {AT_R}),
    ("Subsegmental atelectasis at the left base otherwise negative for airspace disease.", {AT_L}),
    # A needed place that is not said: nothing.
    ("Pleural effusion.", set()),
    ("A nodule is seen in the right lung.", set()),
    ("Pneumonia.", set()),
    # Lobes and zones.
    ("Right lower lobe consolidation.", {"consolidation:right-lower"}),
    ("Consolidation in the left upper lobe.", {"consolidation:left-upper"}),
    ("Right middle lobe pneumonia.", {"consolidation:right-middle"}),
    ("Consolidation in the right upper and lower lobes.", {"consolidation:right-upper", "consolidation:right-lower"}),
    ("Right upper and left lower lobe consolidation.", {"consolidation:right-upper", "consolidation:left-lower"}),
    ("Bilateral lower lobe consolidations.", {"consolidation:right-lower", "consolidation:left-lower"}),
    ("Lingular consolidation.", {"consolidation:left-upper"}),
    ("RUL infiltrate.", {"consolidation:right-upper"}),
    ("Patchy airspace opacity in the right lower lobe compatible with pneumonia.", {"consolidation:right-lower"}),
    ("Dense opacity in the left lower lobe with air bronchograms.", {"consolidation:left-lower"}),
    ("2.5 cm nodule in the left upper zone.", {"nodule:left-upper"}),
    ("There is a 3.1 cm mass projecting over the right mid-lung.", {"nodule:right-mid"}),
    ("Within the right upper zone is a 2 cm nodule.", {"nodule:right-upper"}),
    ("Nodular opacity in the right lower lung zone.", {"nodule:right-lower"}),
    ("Left lower zone pulmonary nodule and right upper zone mass.", {"nodule:left-lower", "nodule:right-upper"}),
    ("Right-sided nodule in the upper zone.", {"nodule:right-upper"}),
    ("A nodule is seen in the lower zone of the left lung.", {"nodule:left-lower"}),
    (
        "Consolidation in the right lower lobe and a left pleural effusion.",
        {"consolidation:right-lower", PE_L},
    ),
    # Without a place.
    ("Cardiomegaly.", {"cardiomegaly"}),
    ("The cardiac silhouette is enlarged.", {"cardiomegaly"}),
    ("The heart is mildly to moderately enlarged.", {"cardiomegaly"}),
    ("Heart size mildly enlarged for technique.", {"cardiomegaly"}),
    ("Heart is slightly large.", {"cardiomegaly"}),
    ("Enlarged heart.", {"cardiomegaly"}),
    ("Heart size is increased.", {"cardiomegaly"}),
    ("Moderate enlargement of the cardiac silhouette.", {"cardiomegaly"}),
    ("Mild interstitial pulmonary edema.", {"interstitial_oedema"}),
    ("Kerley B lines and perihilar haze, interstitial oedema.", {"interstitial_oedema"}),
    ("Dual-lead pacemaker with leads in the right atrium and right ventricle.", {"pacemaker"}),
    ("Left chest ICD in place.", {"pacemaker"}),
    ("Right internal jugular central line with tip in the SVC.", {"line"}),
    ("Right PICC terminates at the cavoatrial junction.", {"line"}),
    ("A catheter is seen with its tip over the superior vena cava.", {"line"}),
    ("Right IJ central line in place, no pneumothorax.", {"line"}),
    ("No pacemaker or central line.", set()),
    # Not the findings they sound like.
    ("Pericardial effusion. Mass effect on the trachea. Soft tissue edema of the left arm.", set()),
    ("Old rib fracture on the right, fracture line visible.", set()),
]


@pytest.mark.parametrize(("text", "labels"), CASES, ids=[case[0][:60] or "empty" for case in CASES])
def test_reads_as_a_radiologist_would(text: str, labels: set[str]) -> None:
    assert find(text) == labels


def test_reads_whole_report_with_wrapped_lines_and_lists() -> None:
    text = "FINDINGS: The cardiac silhouette is\nenlarged. No pneumothorax.\n\n"
    text += "IMPRESSION:\n1. Small left pleural\neffusion.\n2. No pneumonia.\n"
    assert find(text) == {"cardiomegaly", PE_L}


def test_labels_cover_the_catalogue() -> None:
    assert len(LABELS) == len(set(LABELS)) == 21
    assert {label.split(":")[0] for label in LABELS} == {row.located for row in CATALOGUE} - {""}


def test_uncertain_and_absent_are_told_apart() -> None:
    verdicts = [
        mention.certainty for mention in find_mentions("No effusion. Possible right pneumothorax. Left atelectasis.")
    ]
    assert verdicts == [Certainty.ABSENT, Certainty.UNCERTAIN, Certainty.PRESENT]


PHRASES = {
    PE_L: "left pleural effusion",
    PE_R: "right-sided effusion",
    PX_L: "left apical pneumothorax",
    "cardiomegaly": "cardiomegaly",
    "nodule:right-upper": "right upper zone nodule",
    "nodule:left-lower": "left lower lobe mass",
    "consolidation:right-middle": "right middle lobe consolidation",
    "consolidation:left-lower": "left lower lobe pneumonia",
    "interstitial_oedema": "interstitial pulmonary edema",
    AT_R: "right basilar atelectasis",
    "pacemaker": "pacemaker",
    "line": "central venous line",
}
FOUND = st.lists(st.sampled_from(sorted(PHRASES)), min_size=1, max_size=5, unique=True)
NEGATIONS = (
    "no",
    "there is no",
    "no evidence of",
    "without",
    "negative for",
    "no new",
    "the lungs are free of",
    "absence of",
    "no definite",
)
HEDGES = ("cannot exclude", "possible", "concern for", "questionable", "this may represent", "evaluate for", "rule out")
AFTERTHOUGHTS = (
    "has resolved",
    "is not seen",
    "is no longer present",
    "has been removed",
    "cannot be excluded",
    "is unlikely",
)


def listed(labels: list[str], joint: str) -> str:
    phrases = [PHRASES[label] for label in labels]
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + f" {joint} {phrases[-1]}"


@given(FOUND, st.sampled_from(NEGATIONS))
def test_negated_list_states_nothing(labels: list[str], cue: str) -> None:
    assert find(f"{cue} {listed(labels, 'or')}.".capitalize()) == set()


@given(FOUND, st.sampled_from(HEDGES))
def test_hedged_list_states_nothing(labels: list[str], cue: str) -> None:
    assert find(f"{cue} {listed(labels, 'or')}.") == set()


@given(st.sampled_from(sorted(PHRASES)), st.sampled_from(AFTERTHOUGHTS))
def test_verdict_may_follow(label: str, verdict: str) -> None:
    assert find(f"The {PHRASES[label]} {verdict}.") == set()


@given(FOUND, st.sampled_from(("", "there is", "probable", "likely", "unchanged", "new")))
def test_stated_list_states_all_and_no_more(labels: list[str], cue: str) -> None:
    assert find(f"{cue} {listed(labels, 'and')}.") == set(labels)


@given(FOUND, FOUND)
def test_denied_sentences_take_nothing_from_stated_ones(stated: list[str], denied: list[str]) -> None:
    text = f"No {listed(denied, 'or')}. {listed(stated, 'and').capitalize()}. No {listed(denied, 'or')}."
    assert find(text) == set(stated)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert find(text) <= set(LABELS)


@given(st.text(alphabet="no left right, and effusion. pneumothorax with lower lobe mass\n", max_size=200))
def test_any_medley_is_read(text: str) -> None:
    assert find(text) <= set(LABELS)


@given(st.text(alphabet="no left effusion. \n;-1", max_size=3000))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(split_sentences(text)) == text


def test_a_sentence_without_an_end_is_cut_between_words() -> None:
    text = "Small left pleural effusion and " * 100
    assert len(split_sentences(text)) > 1
    assert find(text) == {PE_L}
