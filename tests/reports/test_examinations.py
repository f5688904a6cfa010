"""A report of several examinations is told, and one that only names its views twice is not."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning import cli
from cxr_lightning.reports.examinations import holds_several
from cxr_lightning.reports.policy import LENIENT, Policy
from cxr_lightning.reports.sections import split_sections
from tests.reports.archive_layout import lay_out

pytestmark = pytest.mark.quick
SEVERAL = (
    "FINAL REPORT\n CHEST RADIOGRAPH 8 AM\n FINDINGS: Right pneumothorax.\n IMPRESSION: Right pneumothorax.\n"
    " CHEST RADIOGRAPH 2 PM\n FINDINGS: No pneumothorax.\n IMPRESSION: No pneumothorax.",
    "FINDINGS: Right pneumothorax.\nIMPRESSION: Right pneumothorax.\nCHEST RADIOGRAPH 2 PM\nNo pneumothorax.",
    "FINDINGS: Right pneumothorax. IMPRESSION: Right pneumothorax. CHEST RADIOGRAPH 2 PM No pneumothorax.",
    "FINDINGS: Right pneumothorax. IMPRESSION: Right pneumothorax. FINDINGS: No effusion. IMPRESSION: Normal.",
    "EXAM: CHEST, 8 AM\nFINDINGS: Edema.\nIMPRESSION: Edema.\nEXAM: CHEST, 2 PM\nFINDINGS: Clear.\nIMPRESSION: Normal.",
    "EXAM: CHEST\nFINDINGS: Edema.\nIMPRESSION: Edema.\n\nEXAM: CHEST\nFINDINGS: Lungs are clear.",
    "PORTABLE CHEST:\nEdema is seen.\nIMPRESSION: Edema.\nPORTABLE CHEST, ___ AT 14:20:\nThe lungs are clear.\n",
    "IMPRESSION:  AP chest compared to ___, 8 a.m.:\n Large effusion.\n\n AP chest, 2 p.m.:\n Small effusion.",
    "FINDINGS: Edema.\nIMPRESSION:\n1. Edema.\n2. AP chest 5:12 PM: Lungs are clear.",
    "FINDINGS: Edema.\nIMPRESSION: Edema.\n\nPA AND LATERAL VIEWS OF THE CHEST\n\nNo edema.",
    "FINAL REPORT\nFINDINGS: Edema.\nIMPRESSION: Edema.\nFINAL REPORT\nFINDINGS: Clear.\nIMPRESSION: Clear lungs.",
    "CT CHEST\nFINDINGS: Edema.\nIMPRESSION: Edema.\nCT ABDOMEN\nFINDINGS: No free air.\nIMPRESSION: No free air.",
)
ONE = (
    "",
    "Chest.",
    "FINDINGS: Right pneumothorax.\nIMPRESSION: Right pneumothorax.",
    "HISTORY: Pain.\n\nIMPRESSION: AP chest compared to ___:\n\nPA AND LATERAL CHEST:\nClear lungs.",
    "FINDINGS: Clear.\nIMPRESSION: SOFT TISSUE NECK. Normal. CHEST. No acute disease.",
    "FINDINGS: Clear.\nIMPRESSION: Normal. Recommend follow-up\nchest radiograph.\nNo effusion.",
    "FINDINGS: Clear.\nIMPRESSION: Normal.\nRECOMMENDATION: Chest radiograph in six weeks.",
    "FINDINGS: Edema.\nIMPRESSION: Edema.\nFINDINGS: were discussed with Dr. ___ at 5 p.m.",
    "FINDINGS: Edema.\nIMPRESSION: Edema.\nEXAM: CHEST\nFINDINGS: Edema.\nIMPRESSION: Edema.",
    "IMPRESSION: Edema.\nEXAM: CHEST\nFINDINGS: Diffuse opacities.",
    "IMPRESSION: Edema.\nFINDINGS: Diffuse opacities.\nIMPRESSION: Edema.",
    f"ADDENDUM: EXAM: CHEST\nIMPRESSION: Edema.\n {'_' * 78}\nFINAL REPORT\nFINDINGS: Clear.\nIMPRESSION: Clear.",
    f"WET READ: Edema.\n {'_' * 78}\nFINAL REPORT\nCHEST RADIOGRAPH\nFINDINGS: Clear lungs.\nIMPRESSION: Clear.",
    "CHEST, TWO VIEWS: Clear lungs.\nIMPRESSION: Normal chest.\nNOTIFICATION: PA AND LATERAL CHEST was told.",
)


@pytest.mark.parametrize("text", SEVERAL)
def test_several_examinations_are_left_out_unless_they_are_asked_for(text):
    assert holds_several(text)
    report, any_length = split_sections(text), {"both": False, "findings_words": 0, "impression_words": 0}
    assert Policy(**any_length).reason(report) == "several examinations"
    assert Policy(**any_length, several=True).reason(report) == ""
    assert LENIENT.reason(report) == ""


def test_the_command_line_keeps_several_examinations_where_it_is_told_to(tmp_path):
    rows = [
        json.dumps({"study_id": str(place), "patient_id": "p", "report": text}) for place, text in enumerate(SEVERAL)
    ]
    (tmp_path / "studies.jsonl").write_text("\n".join(rows))
    out = tmp_path / "reports.jsonl"
    words = ["reports", "table", str(tmp_path / "studies.jsonl"), "--out", str(out), "--overwrite", "true"]
    words += ["--policy.both", "false", "--policy.findings_words", "0", "--policy.impression_words", "0"]
    for several, reasons in (("false", {"several examinations"}), ("true", {""})):
        assert cli.run([*words, "--policy.several", several]) == 0
        assert {json.loads(line)["reason"] for line in out.read_text().splitlines()} == reasons


@pytest.mark.parametrize("text", ONE)
def test_one_examination_is_kept(text):
    assert not holds_several(text)


@given(st.randoms(use_true_random=False))
def test_a_report_laid_out_as_an_archive_has_it_is_one_examination(draw):
    sections = {
        "indication": "Cough and fever.",
        "comparison": draw.choice(("None.", "Chest radiograph of ___.", "")),
        "technique": draw.choice(("PA and lateral views of the chest.", "")),
        "findings": "Heart size is normal. The lungs are clear.",
        "impression": "1. No acute process. 2. Clear lungs.",
    }
    one = lay_out(sections, draw)
    assert not holds_several(one)
    other = {"findings": "Large effusion.", "impression": "1. Large effusion."}
    assert holds_several(f"{one}\n PORTABLE CHEST RADIOGRAPH, 5:12 PM\n \n{_plain(other)}")


def _plain(sections):
    return "".join(f" {name.upper()}: {words}\n" for name, words in sections.items())


@pytest.mark.parametrize(
    "unit", ["IMPRESSION: A.\n", "CHEST VIEW\n", ". CHEST 2 PM ", "IMPRESSION: Ab. CHEST AP ", "A "]
)
def test_no_text_takes_long(unit):
    def seconds(size):
        start = time.process_time()
        holds_several("IMPRESSION: Edema. " + unit * (size // len(unit)))
        return time.process_time() - start

    assert seconds(100_000) < 4.0


def test_random_words_are_looked_at_without_an_error():
    draw = random.Random(3)
    pieces = [
        "IMPRESSION:",
        "FINDINGS:",
        "CHEST RADIOGRAPH\n",
        "EXAM: CHEST\n",
        "\n",
        " ",
        "Edema. ",
        "2 PM ",
        "AP chest: ",
    ]
    told = [holds_several("".join(draw.choices(pieces, k=draw.randrange(20)))) for _ in range(2000)]
    assert any(told)
    assert not all(told)
