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


def test_what_phantoms_show_is_still_said_after_cleaning():
    for number in range(12):
        phantom = draw_study(3, number, 64)
        summary = summarize(phantom.report)
        assert find(summary) == set(phantom.labels), phantom.labels


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_report_is_merged_and_ends_as_prose(findings, impression):
    summary = summarize(Report(findings=findings, impression=impression))
    assert not summary or summary[-1] in ".?!"
