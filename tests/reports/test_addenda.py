"""Addenda, early readings and the ward's own impression are told apart from the report, with a colon and without."""

from __future__ import annotations

import pytest

from cxr_lightning.reports.sections import read_layout, split_sections

pytestmark = pytest.mark.quick
SIGNED = f" {'_' * 78}\n FINAL REPORT\n FINDINGS: Large right pneumothorax.\n\n IMPRESSION: Pneumothorax.\n"


@pytest.mark.parametrize(
    "addendum",
    [
        "ADDENDUM  The side was dictated wrongly.  The effusion is on the left, not the right.",
        "ADDENDUM  On further review there is a 9 mm nodule in the left upper lobe which was not described\n in it.",
        "ADDENDUM # 1 There is a 9 mm nodule in the left upper lobe.",
        "ADDENDUM #2: There is a 9 mm nodule in the left upper lobe.",
        "ADDENDUM 9 mm nodule in the left upper lobe.",
        "ADDENDUM - There is a small nodule that was missed.",
        "ADDENDUM -- There is a small nodule that was missed.",
        "ADDENDUM\u2014There is a small nodule.",
        "ADDENDUM by Dr. Smith: There is a small nodule.",
        "ADDENDUM BY DR. ___ - Small nodule in the left upper lobe.",
        "ADDENDUM DATED ___: Small nodule in the left upper lobe.",
        "ADDENDUM (___, 5:12 PM)  Small nodule in the left upper lobe.",
        "ADDENDUM TO THE FINAL REPORT  Small nodule in the left upper lobe.",
        "ADDENDUM; Small nodule in the left upper lobe.",
        "ADDENDUM. Small nodule in the left upper lobe.",
        "Addendum - There is a small nodule.",
        "Addendum #1 There is a small nodule.",
        "Addendum  There is a small nodule.",
        "FINAL ADDENDUM  There is a small nodule.",
        "2ND ADDENDUM  There is a small nodule.",
        "SECOND ADDENDUM: There is a small nodule.",
        "AMENDED REPORT  There is a small nodule.",
        "CORRECTED REPORT - There is a small nodule.",
        "**ADDENDUM** There is a small nodule.",
    ],
)
def test_an_addendum_is_seen_without_a_colon(addendum):
    for text in (
        f" {addendum}\n {'_' * 78}\n FINAL REPORT\n FINDINGS: Right effusion.\n\n IMPRESSION: Normal.\n",
        f"FINDINGS: Right effusion.\nIMPRESSION: Normal.\n{addendum}\n",
        f"FINDINGS: Right effusion.\nIMPRESSION: Normal.\n\n {addendum}\n",
    ):
        layout = read_layout(text)
        assert (layout.report.findings, layout.report.impression) == ("Right effusion.", "Normal.")
        assert layout.report.amended
        assert len(layout.addenda) == 1


def test_an_addendum_behind_a_sentence_of_the_impression_is_none_of_it():
    for mark in (" - ", " #1 ", "  ", ": ", " by Dr. ___: "):
        report = split_sections(f"FINDINGS: Clear. IMPRESSION: Normal. ADDENDUM{mark}There is a small nodule.")
        assert (report.impression, report.amended) == ("Normal.", True), mark


def test_an_addendum_without_a_colon_restates_a_section():
    report = split_sections(f" ADDENDUM  IMPRESSION: There is a 9 mm nodule.\n{SIGNED}")
    assert (report.findings, report.impression) == ("Large right pneumothorax.", "There is a 9 mm nodule.")


@pytest.mark.parametrize(
    "words",
    [
        "An addendum was made.",
        "Please see\naddendum below.",
        "ADDENDUM will be issued after the CT.",
        "The wet read of the resident agrees.",
        "Wet read was discussed with the team.",
        "Addendum was requested.",
    ],
)
def test_words_about_an_addendum_or_an_early_reading_open_nothing(words):
    report = split_sections(f"FINDINGS: Clear.\nIMPRESSION: Normal.\n{words}\nSmall effusion.")
    assert report.impression == f"Normal. {' '.join(words.split())} Small effusion."


@pytest.mark.parametrize(
    "early",
    [
        "WET READ VERSION #1 Right pneumothorax.",
        "WET READ  Right pneumothorax.",
        "WET READ - Right pneumothorax.",
        "WET READ by resident: Right pneumothorax.",
        "WET READING ___ 5:17 PM  Right pneumothorax.",
        "WETREAD #2 Right pneumothorax.",
        "Wet read #1 Right pneumothorax.",
        "PRELIMINARY REPORT  Right pneumothorax.",
        "PROVISIONAL FINDINGS IMPRESSION (PFI) Right pneumothorax.",
        "PRELIMINARY READ - Right pneumothorax.",
    ],
)
def test_an_early_reading_below_the_impression_is_none_of_it(early):
    for gap in ("\n", "\n\n", " "):
        report = split_sections(f"FINDINGS: Lungs are clear.\nIMPRESSION: Normal.{gap}{early}\n")
        assert (report.findings, report.impression, report.amended) == ("Lungs are clear.", "Normal.", False)
    assert "pneumothorax" in split_sections(early).findings


def test_a_clinical_impression_is_the_question_of_the_ward():
    report = split_sections("CLINICAL IMPRESSION: Pneumonia?\nFINDINGS: Clear.\nIMPRESSION: Normal.")
    assert (report.indication, report.impression) == ("Pneumonia?", "Normal.")
    below = split_sections("FINDINGS: Lungs are clear.\nCLINICAL IMPRESSION: Normal chest.")
    assert (below.indication, below.impression) == ("", "Normal chest.")
    asked = split_sections("FINDINGS: Lungs are clear.\nCLINICAL IMPRESSION: Pneumonia?")
    assert (asked.indication, asked.impression) == ("Pneumonia?", "")
