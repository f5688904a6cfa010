"""Sections are found under the names radiologists give them, and nothing is made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.sections import split_sections

pytestmark = pytest.mark.quick
REAL = os.environ.get("CXR_REAL_DATA")

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old man with cough  // pneumonia?

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 The heart is normal in
 size.  No effusion.

 IMPRESSION:

 No acute process.

 NOTIFICATION:  Dr. ___ was told at ___.
"""


def test_the_mimic_layout():
    report = split_sections(MIMIC)
    assert report.indication == "___ year old man with cough // pneumonia?"
    assert report.technique == "Chest PA and lateral"
    assert report.comparison == "___"
    assert report.findings == "The heart is normal in size. No effusion."
    assert report.impression == "No acute process."
    assert report.text == MIMIC


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("FINDINGS:", "findings"),
        ("Findings:", "findings"),
        ("FINDING:", "findings"),
        ("FINDINGS AND IMPRESSION:", "findings"),
        ("FINDINGS/IMPRESSION:", "findings"),
        ("PA AND LATERAL VIEWS OF THE CHEST:", "findings"),
        ("PORTABLE AP CHEST RADIOGRAPH:", "findings"),
        ("IMPRESSION:", "impression"),
        ("IMPRESSIONS:", "impression"),
        ("CONCLUSION:", "impression"),
        ("Conclusion :", "impression"),
        ("OPINION:", "impression"),
        ("ASSESSMENT:", "impression"),
        ("HISTORY:", "indication"),
        ("CLINICAL HISTORY:", "indication"),
        ("REASON FOR EXAM:", "indication"),
        ("REASON FOR EXAMINATION:", "indication"),
        ("CLINICAL INFORMATION:", "indication"),
        ("INDICATION FOR STUDY:", "indication"),
        ("TECHNIQUE:", "technique"),
        ("COMPARISON:", "comparison"),
        ("COMPARISONS:", "comparison"),
        ("PRIOR STUDY:", "comparison"),
    ],
)
def test_spellings(heading, section):
    report = split_sections(f"{heading} Some words here.\nRECOMMENDATION(S): Nothing.\n")
    assert getattr(report, section) == "Some words here."


def test_headings_in_one_line():
    report = split_sections("INDICATION: pain FINDINGS: Clear lungs. Impression: Normal. Comparison: None.")
    assert (report.indication, report.findings) == ("pain", "Clear lungs.")
    assert (report.impression, report.comparison) == ("Normal.", "None.")


def test_words_that_only_look_like_headings_stay():
    text = "These findings: none of them new. The overall impression is normal.\nIn two\nviews\nthe lungs are clear."
    assert split_sections(text).findings == " ".join(text.split())


def test_organs_as_headings_stay_in_the_findings():
    report = split_sections("FINDINGS:\nLUNGS: Clear.\nHEART: Normal.\nIMPRESSION:\nNormal.")
    assert report.findings == "LUNGS: Clear. HEART: Normal."


def test_text_without_headings_is_findings():
    assert split_sections("A small\neffusion.").findings == "A small effusion."
    assert split_sections("").findings == ""


def test_an_unnamed_paragraph_after_another_section_is_findings():
    text = "INDICATION: Cough.\n\nCOMPARISON: None.\n\nThe lungs are clear.\n\nIMPRESSION: Normal."
    report = split_sections(text)
    assert (report.comparison, report.findings, report.impression) == ("None.", "The lungs are clear.", "Normal.")


def test_the_report_follows_its_addendum():
    text = "ADDENDUM: Typing error.\n" + "_" * 79 + "\nFINAL REPORT\nFINDINGS: Clear.\nIMPRESSION: Normal."
    assert split_sections(text).findings == "Clear."


@given(st.text())
def test_any_text_is_split_and_no_word_is_invented(text):
    report = split_sections(text)
    sections = (report.indication, report.technique, report.comparison, report.findings, report.impression)
    # A heading may stand right against its section's first word: "FINDINGS:clear".
    known = set(text.split()) | set(text.replace(":", ": ").split()) | set(text.replace(":", " ").split())
    assert {word for section in sections for word in section.split()} <= known


PIECES = st.sampled_from(
    ["FINDINGS:", "Impression:", "\n", " ", "\n\n", "history", "lungs clear.", "___", "_" * 30, "views"]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_heaps_of_headings_are_split(text):
    report = split_sections(text)
    assert "\n" not in report.findings + report.impression


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_the_public_mimic_example():
    report = split_sections((Path(REAL or "") / "section_samples" / "mimic_public_example.txt").read_text())
    assert report.findings.startswith("Cardiac size cannot be evaluated.")
    assert report.impression == "Large left pleural effusion"
