"""The summary says everything once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_report_is_merged_and_ends_as_prose(findings, impression):
    summary = summarize(Report(findings=findings, impression=impression))
    assert not summary or summary[-1] in ".?!"
