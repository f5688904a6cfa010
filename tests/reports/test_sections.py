"""Sections are found under the names radiologists give them, and nothing is made up."""

from __future__ import annotations

import html
import os
import random
import re
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.sections import parts_of, read_layout, split_sections
from tests.reports.archive_layout import is_corrected, lay_out

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
        ("IMPRESION:", "impression"),
        ("IMPRESSIO___:", "impression"),
        ("]IMPRESSION:", "impression"),
        ("CONLCUSION:", "impression"),
        ("1. FINDINGS:", "findings"),
        ("**FINDINGS:", "findings"),
        ("FINSINGS:", "findings"),
        ("AP CHEST, 5:12 A.M., ___:", "findings"),
        ("CLINCAL HISTORY:", "indication"),
        ("PATIENT'S HISTORY:", "indication"),
        ("CLINICAL INFORMATION & QUESTIONS TO BE ANSWERED:", "indication"),
        ("COMPARISON (MRN ___):", "comparison"),
        ("REFERENCE  EXAM:", "comparison"),
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


def test_what_an_addendum_restates_stands_and_the_rest_is_told_apart():
    amended = f" FINAL ADDENDUM\n ADDENDUM: Typing error.\n IMPRESSION: Left effusion.\n {'_' * 78}\n"
    layout = read_layout(f"{amended} FINAL REPORT\n FINDINGS: Effusion.\n\n IMPRESSION: Right effusion.\n")
    assert (layout.report.findings, layout.report.impression) == ("Effusion.", "Left effusion.")
    (addendum,) = layout.addenda
    assert "Typing error." in addendum
    assert "Effusion." not in addendum


def test_an_addendum_below_the_report_is_not_of_its_impression():
    layout = read_layout("FINDINGS: Clear.\nIMPRESSION: Normal.\n\nADDENDUM: Told to the ward.\n")
    assert layout.report.impression == "Normal."
    assert layout.addenda == ("ADDENDUM: Told to the ward.",)


SIGNED = f" {'_' * 78}\n FINAL REPORT\n FINDINGS: Large right pneumothorax.\n\n IMPRESSION: Pneumothorax.\n"


@pytest.mark.parametrize(
    "call",
    [
        "FINDINGS: were telephoned to Dr. ___ at 5 p.m.",
        "ADDENDUM: The above findings were discussed with Dr. ___ by phone.",
        "ADDENDUM:\n Findings: of pneumothorax communicated to the team by Dr. ___.",
        "ADDENDUM: Dr. ___ was notified of the pneumothorax.",
        "ADDENDUM: The report above is correct. No corrections. Nothing to add.",
        "ADDENDUM: Attending physician: ___.",
        "CORRECTED REPORT: Signed at 4 p.m.",
    ],
)
def test_an_addendum_that_says_who_was_called_changes_nothing(call):
    report = split_sections(f" FINAL ADDENDUM\n {call}\n{SIGNED}")
    assert (report.findings, report.impression) == ("Large right pneumothorax.", "Pneumothorax.")
    assert not report.amended


@pytest.mark.parametrize(
    "prose",
    [
        "There is a small right apical pneumothorax which was missed.",
        "There is a small left effusion, discussed with Dr. ___ at 5 p.m.",
        "The impression should read no pneumothorax.",
        "Left and right were mistaken for each other. Dr. ___ was told.",
        "Upon re-review a rib fracture is seen, and Dr. ___ was paged.",
        "No effusion.",
    ],
)
def test_an_addendum_that_corrects_in_prose_is_told(prose):
    assert split_sections(f" ADDENDUM: {prose}\n{SIGNED}").amended
    assert not split_sections(f" ADDENDUM: {prose}\n IMPRESSION: Small effusion.\n{SIGNED}").amended
    assert not split_sections(f"FINDINGS: {prose}\nIMPRESSION: {prose}").amended


@pytest.mark.parametrize(
    "early", ["WET READ: ABCd MON 5:17 PM\n Pneumonia.", "PRELIMINARY REPORT\n FINDINGS: Pneumonia."]
)
def test_what_was_read_before_signing_is_no_part_of_the_report(early):
    report = split_sections(f"{early}\n {'_' * 78}\n FINAL REPORT\n FINDINGS: Clear.\n IMPRESSION: Normal.\n")
    assert (report.findings, report.impression) == ("Clear.", "Normal.")
    assert "Pneumonia" in split_sections(early).findings


@pytest.mark.parametrize(
    "section", [" EXAMINATION:  CHEST", " COMPARISON: None.", " TECHNIQUE:  PA", " INDICATION: Pain."]
)
def test_findings_without_a_name_are_the_paragraph_below_any_section(section):
    for after in ("", " \n IMPRESSION: Normal.\n", " \n NOTIFICATION: By phone.\n\n At noon.\n"):
        report = split_sections(f"FINAL REPORT\n{section}\n \n The lungs are\n clear.\n{after}")
        assert report.findings.startswith("The lungs are clear."), after


def test_prose_above_the_first_heading_is_findings_and_a_title_is_not():
    assert split_sections("The lungs are clear today.\nIMPRESSION: Normal.").findings == "The lungs are clear today."
    assert split_sections("CHEST RADIOGRAPH\n\nIMPRESSION: Normal.").findings == ""
    assert split_sections("FINAL REPORT\n Lungs are clear\n today.").findings == "Lungs are clear today."


@pytest.mark.parametrize(
    "words",
    [
        "Please evaluate for pneumothorax after left thoracentesis in this patient.",
        "Evaluate for effusion, which was seen on CT.",
        "Rule out pneumonia.",
        "62 year old man with fever, has known effusion.",
        "___ year old woman with cough. Please assess the effusion that is known.",
        "Left chest pain and effusion.",
        "Is there pneumonia?",
        "AP CHEST RADIOGRAPH, ___, 8:19 A.M. WITH COMPARISON TO ___",
    ],
)
def test_no_finding_is_made_of_a_question_or_a_title(words):
    report = split_sections(f"FINAL REPORT\n INDICATION: Cough.\n\n {words}\n\n IMPRESSION: No acute process.\n")
    assert (report.findings, report.impression) == ("", "No acute process.")
    assert report.indication == f"Cough. {words}"
    told = split_sections(f"INDICATION: Cough.\n\n{words}\n\nStatus post sternotomy. The lungs are clear.\n")
    assert told.findings == "Status post sternotomy. The lungs are clear."
    assert told.indication == f"Cough. {words}"


def test_a_title_above_the_first_heading_is_no_finding():
    title = "AP CHEST RADIOGRAPH, ___, 8:19 A.M. WITH COMPARISON TO ___"
    assert split_sections(f"FINAL REPORT\n {title}\n\n IMPRESSION: Normal.").findings == ""
    report = split_sections(f"{title}\n\nMild cardiomegaly, no effusion.\n\nIMPRESSION: Normal.")
    assert report.findings == "Mild cardiomegaly, no effusion."


def test_views_named_inside_the_impression_open_nothing():
    report = split_sections("HISTORY: Pain.\n\nIMPRESSION: AP chest compared to ___:\n\nPA AND LATERAL CHEST:\nClear.")
    assert (report.findings, report.impression) == ("", "AP chest compared to ___: PA AND LATERAL CHEST: Clear.")


def test_headings_in_capitals_in_a_text_in_capitals():
    report = split_sections("INDICATION: PAIN FINDINGS: NO CHANGE IN THE VIEWS. CLEAR. IMPRESSION: NORMAL CHEST.")
    assert (report.findings, report.impression) == ("NO CHANGE IN THE VIEWS. CLEAR.", "NORMAL CHEST.")


@pytest.mark.parametrize(
    "shape", ["FINDINGS\n{}\nIMPRESSION\n{}", "FINDINGS - {}\nIMPRESSION - {}", "Findings\n\n{}\n\nImpression\n\n{}"]
)
def test_headings_without_colons(shape):
    report = split_sections(shape.format("Lungs are clear.", "Normal."))
    assert (report.findings, report.impression) == ("Lungs are clear.", "Normal.")


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\r"),
    lambda text: "\ufeff" + text, lambda text: text.replace(" ", "\xa0"), lambda text: text.replace(" ", "\t"),
    lambda text: text.replace(":", " :"),
])  # fmt: skip
def test_odd_spaces_and_line_ends_change_nothing(change):
    plain, odd = split_sections(MIMIC), split_sections(change(MIMIC))
    assert odd.findings == plain.findings
    assert odd.impression == plain.impression


def test_a_repeated_heading_is_joined_and_a_repeated_text_said_once():
    report = split_sections("FINDINGS: Clear.\nFINDINGS: Small heart.\nFINDINGS: Clear.\nIMPRESSION: Normal.")
    assert report.findings == "Clear. Small heart."


@pytest.mark.parametrize("between", [" ", "\n ", "\n\n"])
@pytest.mark.parametrize(
    "name", ["Recommendation", "RECOMMENDATION", "Comment", "Note", "Follow up", "Plan", "Location"]
)
def test_a_name_inside_the_impression_swallows_nothing(name, between):
    points = ("1. Right hilar mass.", f"2. {name}: CT.", "3. Large left pneumothorax.")
    impression = split_sections(f"IMPRESSION: {between.join(points)}\n").impression
    assert impression.endswith("Large left pneumothorax.")
    assert impression.startswith("1. Right hilar mass.")
    findings = split_sections(f"FINDINGS: Clear.\n{name.title()}: right upper lobe mass.\nIMPRESSION: Mass.").findings
    assert findings == f"Clear. {name.title()}: right upper lobe mass."


def test_a_name_alone_on_its_line_or_in_capitals_ends_the_impression():
    for name in ("Recommendations:\n", "RECOMMENDATION(S): ", "COMMENT: "):
        assert split_sections(f"IMPRESSION: 1. Mass. 2. Normal heart.\n{name} 1. CT. 2. Wait.").impression == (
            "1. Mass. 2. Normal heart."
        )


@pytest.mark.parametrize("gap", [" ", "\n"])
def test_a_comparison_that_a_sentence_in_capitals_speaks_of_opens_nothing(gap):
    report = split_sections(f"FINDINGS: THERE IS A{gap}COMPARISON: SEE BELOW. LUNGS ARE CLEAR.\nIMPRESSION: NORMAL.")
    assert (report.comparison, report.findings) == ("", "THERE IS A COMPARISON: SEE BELOW. LUNGS ARE CLEAR.")


@pytest.mark.parametrize(
    "text",
    [
        "indication: cough. findings: lungs are clear. impression: normal heart.",
        "Indication: cough. Findings: lungs are clear. Impression; normal heart.",
        "INDICATION: cough.\nFINDINGS; lungs are clear.\nIMPRESSION;\nnormal heart.",
        "INDICATION\uff1acough.\nFINDINGS\uff1alungs are clear.\nIMPRESSION\uff1a normal heart.",
        "**INDICATION:** cough.\n\n**FINDINGS:** lungs are clear.\n\n**IMPRESSION:** normal heart.",
        "**Indication**: cough.\n**Findings**\nlungs are clear.\n**Impression**\nnormal heart.",
        "__INDICATION:__ cough.\n__FINDINGS:__ lungs are clear.\n__IMPRESSION:__ normal heart.",
        "## Indication\ncough.\n## Findings\nlungs are clear.\n## Impression\nnormal heart.",
        "INDICATION - cough. FINDINGS - lungs are clear. IMPRESSION - normal heart.",
        "Indication - cough.\nFindings - lungs are clear.\nImpression - normal heart.",
        "INDICATION\u2014cough.\nFINDINGS\u2014lungs are clear.\nIMPRESSION \u2013 normal heart.",
        "INDICATION- cough.\nFINDINGS- lungs are clear.\nIMPRESSION -normal heart.",
    ],
)
def test_headings_as_other_hands_type_them(text):
    report = split_sections(text)
    assert (report.indication, report.findings, report.impression) == ("cough.", "lungs are clear.", "normal heart.")


def test_a_blank_behind_a_heading_is_no_mark():
    assert split_sections("FINDINGS:___ is clear.\nIMPRESSION: Normal.").findings == "___ is clear."


@given(st.text())
def test_any_text_is_split_and_no_word_is_invented(text):
    report = split_sections(text)
    sections = (report.indication, report.technique, report.comparison, report.findings, report.impression)
    # A heading may stand right against its section's first word: "FINDINGS:clear".
    known = set(text.split()) | set(text.replace(":", ": ").split()) | set(text.replace(":", " ").split())
    assert {word for section in sections for word in section.split()} <= known


WORDS = (
    "lungs",
    "are",
    "clear",
    "no",
    "effusion",
    "with",
    "2.5",
    "cm",
    "___",
    "XXXX",
    "PICC",
    "views",
    "of",
    "the",
    "chest",
)
PIECES = st.sampled_from(
    [
        "FINDINGS:",
        "Impression:",
        "FINDINGS\n",
        "ADDENDUM:",
        "FINAL REPORT\n",
        "WET READ:",
        "CHEST RADIOGRAPH\n",
        "\r\n",
        "\n",
        " ",
        "\n\n",
        "history",
        "lungs clear.",
        "___",
        "_" * 30,
        "views",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_heaps_of_headings_are_split(text):
    report = split_sections(text)
    assert "\n" not in report.findings + report.impression


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_parts_together_are_the_text(text):
    together = "".join(part.heading + part.text for part in parts_of(text))
    assert "".join(together.split()) == "".join(re.sub(r"(?m)^[ \t]*_{20,}[ \t]*$", "", _lines(text)).split())


def _lines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
def test_sections_laid_out_as_an_archive_has_them_come_back(draw, words):
    sections = {
        "indication": "Cough and fever.",
        "comparison": draw.choice(("None.", "")),
        "technique": draw.choice(("PA and lateral", "")),
        "findings": f"Heart size is normal. {' '.join(words)}.",
        "impression": "1. No acute process. 2. Clear lungs.",
    }
    laid = lay_out(sections, draw)
    report = split_sections(laid)
    for section, text in sections.items():
        assert getattr(report, section) == text
    assert report.amended is is_corrected(laid)


@pytest.mark.parametrize("unit", [
    ":", "a:", "A: ", "FINDINGS:\n", "IMPRESSION ", "FINDINGS - ", " ", "\n \n", "_" * 30 + "\n", "ADDENDUM:\n", "\r",
    "FINDINGS; ", "**a:**", "Plan: 2. A ", "IMPRESSION: 1. A\nNOTE: x ", ". findings - ", "NOTE:\n", "1. A ",
    "A. B: ", "FINAL REPORT\n",
    "ADDENDUM by ", ". ADDENDUM (", "WET READ #1 ", "Addendum to the ", "\nADDENDUM  a", "AAAAAAB:\n", "Findings ",
    "CHEST\n", "FINDINGS\n\n",
])  # fmt: skip
def test_no_text_takes_long(unit):
    def seconds(size):
        start = time.process_time()
        split_sections(unit * (size // len(unit)))
        return time.process_time() - start

    assert seconds(100_000) < 2.0


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_the_public_mimic_example():
    report = split_sections((Path(REAL or "") / "section_samples" / "mimic_public_example.txt").read_text())
    assert report.findings.startswith("Cardiac size cannot be evaluated.")
    assert report.impression == "Large left pleural effusion"


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_open_i_laid_out_as_mimic_comes_back():
    recovered = total = 0
    with tarfile.open(Path(REAL or "") / "openi" / "NLMCXR_reports_dev.tgz") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None:
                continue
            found = re.findall(r'Label="([A-Z]+)">(.*?)</Abs', file.read().decode(), re.DOTALL)
            sections = {label.lower(): " ".join(html.unescape(text).split()) for label, text in found}
            laid = lay_out(sections, random.Random(member.name))
            report = split_sections(laid)
            total += 1
            assert report.amended is is_corrected(laid), member.name
            recovered += all(getattr(report, name) == sections.get(name, "") for name in ("findings", "impression"))
    print(f"findings and impression recovered: {recovered} of {total}, {recovered / total:.2%}", file=sys.stderr)
    assert total == 2998
    assert recovered >= 0.99 * total
