"""The summary says everything once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.findings.located import find
from cxr_lightning.phantoms.phantom import draw_study
from cxr_lightning.reports.summarize import said_in, summarize
from cxr_lightning.study import Report

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("findings", "impression", "summary"),
    [
        (
            "There is a small left pleural effusion. Heart size is normal.",
            "Small left pleural effusion.",
            "There is a small left pleural effusion. Heart size is normal.",
        ),
        ("Clear lungs.", "1. Clear lungs. 2. No acute process.", "Clear lungs. No acute process."),
        ("No effusion.", "Effusion.", "No effusion. Effusion."),
        ("Left effusion.", "Right effusion.", "Left effusion. Right effusion."),
        ("Cardiomegaly. Clear lungs.", "Mild cardiomegaly.", "Clear lungs. Mild cardiomegaly."),
        (
            "Left effusion and right pneumothorax.",
            "Right effusion.",
            "Left effusion and right pneumothorax. Right effusion.",
        ),
        (
            "Question of a right pneumothorax on supine film. No effusion.",
            "Right pneumothorax.",
            "Question of a right pneumothorax on supine film. No effusion. Right pneumothorax.",
        ),
        (
            "Right lower lobe opacity may represent pneumonia. Heart size is normal.",
            "Right lower lobe pneumonia. Heart size is normal.",
            "Right lower lobe opacity may represent pneumonia. Heart size is normal. Right lower lobe pneumonia.",
        ),
        (
            "Pneumothorax cannot be excluded on the left.",
            "Left pneumothorax.",
            "Pneumothorax cannot be excluded on the left. Left pneumothorax.",
        ),
        (
            "No fracture is seen, however a rib fracture cannot be excluded.",
            "No rib fracture.",
            "No fracture is seen, however a rib fracture cannot be excluded. No rib fracture.",
        ),
        (
            "Mild cardiomegaly with severe pulmonary edema.",
            "Mild edema.",
            "Mild cardiomegaly with severe pulmonary edema. Mild edema.",
        ),
        ("Right shoulder.", "Right shoulder negative.", "Right shoulder negative."),
        ("", "Normal chest.", "Normal chest."),
        ("Clear lungs.", "No change from ___.", "Clear lungs."),
        ("", "", ""),
    ],
)
def test_what_is_merged(findings, impression, summary):
    assert summarize(Report(findings=findings, impression=impression)) == summary


def test_a_denial_repeats_a_denial_only():
    assert said_in("No pneumothorax", "There is no effusion or pneumothorax")
    assert not said_in("Pneumothorax", "There is no effusion or pneumothorax")
    assert not said_in("No pneumothorax", "Small pneumothorax")


@pytest.mark.parametrize(
    ("surely", "open_"),
    [
        ("Left effusion", "Possible left effusion"),
        ("Right upper lobe granuloma", "Possible right upper lobe granuloma"),
        ("Hiatal hernia", "Suspected hiatal hernia"),
        ("Aortic aneurysm", "Questionable aortic aneurysm"),
        ("Right rib fracture", "Right rib fracture is suspected"),
        ("Pulmonary edema", "Findings may reflect pulmonary edema"),
        ("Aspiration", "Basilar opacities could represent aspiration"),
        ("Free air", "Free air cannot be excluded"),
        ("Pneumonia", "Pneumonia versus atelectasis"),
        ("Lung cancer", "Rounded opacity, lung cancer is possible"),
        ("No pneumonia", "No effusion, but pneumonia cannot be excluded"),
        ("No nodule", "No mass. Possible nodule"),
    ],
)
def test_what_is_left_open_does_not_say_what_is_sure(surely, open_):
    assert not said_in(surely, open_)
    assert said_in(surely, surely)


@pytest.mark.parametrize(
    ("sentence", "other", "said"),
    [
        ("Small effusion", "Small pneumothorax and effusion", False),
        ("Large effusion", "Large mass with effusion", False),
        ("Mild scoliosis", "Mild kyphosis and severe scoliosis", False),
        ("Severe edema", "Severe cardiomegaly, edema", False),
        ("Moderate atelectasis", "Moderate cardiomegaly due to atelectasis", False),
        ("Mild scoliosis", "Severe kyphosis and mild scoliosis", True),
        ("Mild edema", "Mild interstitial pulmonary edema", True),
        ("Small left effusion", "Small pleural effusion on the left", True),
        ("Edema", "Cardiomegaly with severe edema", True),
        ("Heart size is normal", "Heart size is normal and there may be a small effusion", True),
        ("Lungs are clear", "Lungs are clear, with possible cardiomegaly", True),
        ("No effusion", "No pneumothorax or effusion", True),
    ],
)
def test_a_severity_is_that_of_its_own_finding_and_what_is_normal_is_said_once(sentence, other, said):
    assert said_in(sentence, other) is said


def test_what_phantoms_show_is_still_said_after_cleaning():
    for number in range(12):
        phantom = draw_study(3, number, 64)
        summary = summarize(phantom.report)
        assert find(summary) == set(phantom.labels), phantom.labels


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_report_is_merged_and_ends_as_prose(findings, impression):
    summary = summarize(Report(findings=findings, impression=impression))
    assert not summary or summary[-1] in ".?!"
