"""What may name somebody is found where it is planted, and nowhere in texts that name nobody."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.reports.identifiers import KINDS, LONGEST, find_identifiers

pytestmark = pytest.mark.quick
REAL = os.environ.get("CXR_REAL_DATA")

# Planted between two bars, which are taken out of the text: what is between them is what must be found.
PLANTED = {
    "date": """
        Compared to |3/14/2019|, the effusion is smaller.
        Compared to |03-14-19| there is no change.
        Comparison made to |3/14/19|.
        Chest radiograph |14.03.2019|: clear.
        Radiograph of |14.03.19| at the outside hospital.
        Study of |2019-03-14| is unchanged.
        Acquired |2019/03/14|.
        Acquired |20190314|.
        Acquired |2019-03-14|T10:11:12.
        New since |3/2019|.
        CT of |03-2019| shows it.
        As of |2019-03|.
        Unchanged from |3/14|.
        On |12/31|, a tube was placed.
        Prior radiograph |1/9| showed this.
        The study dated |11/7| is not available.
        Comparison: |3/14|.
        Compared with |March 14, 2019|, no change.
        Compared with |March 14th, 2019|, no change.
        Comparison is |Mar 14| at the clinic.
        Since |14 March 2019|, stable.
        Since the |14th of March 2019|, stable.
        Since the |14th of March|, stable.
        STUDY OF |14-MAR-2019|.
        STUDY OF |14-MAR-19|.
        STUDY OF |MARCH 14 2019|.
        Tube placed |May 3|.
        Tube placed |May 2018|.
        Tube placed in |may 2018|.
        Tube placed in |May|.
        Resected last |December|.
        Known since |Sept. 2017|.
        Known since |Oct '17|.
        Known since |february 2016|.
        On |March fourteenth| it was seen.
        |June 1|: clear lungs.
        Seen |Aug. 5, 2011|.
        Radiograph on |5 Jan| at night.
        New since yesterday, |09/22|.
        On |3/4| the tube was placed.
    """,
    "name": """
        Discussed with Dr. |Smith| at once.
        Discussed with Dr |Smith|.
        Findings were told to Dr. |John A. Smith|.
        Read by Dr. |O'Brien|.
        Read by Dr. |García-López|.
        Drs. |Smith| and Jones agree.
        DR. |SMITH| WAS CALLED.
        Doctor |Okafor| was paged.
        dr. |smith| was called.
        Dr. |van der Berg| is aware.
        Dr. |St. John| is aware.
        Dr. |J. Miller| is aware.
        Dr. |M|. is aware.
        Mr. |Johnson| is a smoker.
        Mrs. |Johnson| is a smoker.
        Ms. |Lee| fell.
        MRS. |JOHNSON| FELL.
        Prof. |Meyer| agrees.
        Nurse |Adams| took the call.
        |Jane Doe|, MD
        |Jane Doe|, M.D., reviewed the images.
        |JANE DOE| MD
        |Jane Q. Doe|, RN, was told.
        |Jane Doe|, DO
        |Jane Doe|, PA-C, was told.
        Electronically signed by: |Jane Doe|
        Electronically signed by |JANE DOE| on the same day.
        Dictated by |Jane Doe|.
        ATTENDING: |Jane Doe|
        Radiologist: |DOE|
        Patient name: |Doe, Jane|
        Results were discussed with |Jane Doe| by telephone.
        The team, namely |Jane Doe|, MD, was notified.
        Findings were communicated to |Miller| in the clinic.
        We notified |Miller| of this.
        Spoke with |Jane Doe|.
        Signed: |Jane Doe|
        Patient |Jane Doe| has cough.
        Attending physician |Jane Doe| reviewed the films.
        Discussed with the nurse practitioner, |Jane Doe|.
        D/w |Smith| at 5pm.
        |Smith| NP informed.
        |Adams| RN was told.
        Referred by |Patel| for cough.
    """,
    "phone": """
        Call |(555) 123-4567| with questions.
        Call |555-123-4567| with questions.
        Call |555.123.4567|.
        Call |555 123 4567|.
        Call |1-800-555-1234|.
        Call |+1 555 123 4567|.
        Call |+44 20 7946 0958|.
        Call |020 7946 0958|.
        Call |123-4567|.
        Resident on |pager 12345|.
        Resident on |pager #91234|.
        Resident on |pager number 4-5678|.
        Resident on |pager: 31234|.
        Reading room |ext. 4567|.
        Reading room |extension 45678|.
        Reading room |x45678|.
        |Beeper 2345| was called.
        |Telephone: 5-12345|.
        |Fax 5551234|.
        Was |paged at 31234|.
    """,
    "record number": """
        |MRN 1234567| was seen.
        |MRN: 123-45-67|
        |MRN# 12345|
        |Medical record number 1234567|
        |Medical record #: 12345|
        |Accession number: RAD1234567|
        |Accession #: 12-34567|
        |Acc# 12345|
        |SSN 123-45-6789|
        Number |123-45-6789| on file.
        |Social security number 123 45 6789|
        |Patient ID: 12345|
        |Patient # 12345| was moved.
        |Hospital number A12345|
        |Chart no. 12345|
        |Account #12345|
        |Visit number 12345|
        |NHS number 943 476 5919|
        Study |s50414267| of this patient.
        Patient |10000032| again.
        Study |RAD-19-001234| of this patient.
        Series |1.2.840.113619.2.5.1762583153| was used.
    """,
    "email": """
        Write to |jane.doe@hospital.org| for the images.
        Write to |j_doe+cxr@med.example.co.uk|.
    """,
    "address": """
        Lives at |12 Elm Street| with a cat.
        Lives at |1204 N. Oak Hill Ave.| alone.
        Lives in Boston, |MA 02115| alone.
        Lives in |ZIP code 02115-1234| alone.
    """,
    "web address": """
        See |https://pacs.example.org/study?id=7| for images.
        See |www.example.org/jane| for images.
    """,
    "age over 89": """
        A |93-year-old| man.
        A |101 year old| woman.
        |95 y/o| with cough.
        |92M| with cough.
        |90yof| with cough.
        Patient |aged 91| with cough.
    """,
}
SAFE = """
    There is a 1-2 cm nodule at T12.
    A 2.5 x 3.1 cm mass, previously 2.4 x 3.0 cm.
    Lines at T5-T6, L1-L2 and C7; ribs 8-9-10 and 5/6/7 are broken.
    Old fractures of ribs 8/9/10.
    1. Right effusion. 2. May represent pneumonia. 3. March of the ribs.
    2. No change. 3. Mar. of the film.
    12. 5. 2 nodules.
    Rib 5 may be broken. Opacity 3 may represent scar. There may be 2 nodules. It may 2 nodules.
    Increased markings, decreased volumes, separation of the joint, sepsis, octreotide, juncture, augmented, novel.
    About 1/2 of the lung, from 1/2 to 2/3 of the hemithorax; grade 2/6 murmur; strength on 3/5 strength testing.
    ICD 786.2, 786.07 and V72.82; ICD-9 491.21.
    Ejection fraction 55-60 %, pain 7/10, SpO2 98%, 3 x 4 x 12 mm, 100-1500 mL, 120 kVp, 2000 mL.
    Dr. ___ was told at ___ p.m. on ___.
    Dr. XXXX XXXX was notified by telephone at 1430 on XXXX, XXXX.
    Dr. was notified. The Dr. was paged at 10:15 am. The doctor was called.
    The referring MD was notified. Ordering MD aware. ER MD, ICU RN told. MD aware.
    THE LUNGS DO NOT SHOW EDEMA. OPACITIES DO PERSIST. NP CHEST. PA AND LATERAL. PA VIEW.
    MR CHEST may help. Consider MR. The heart is large. MS changes of the hand. Recommend MR Angiography.
    DR CHEST PA. DR images. Digital DR.
    Discussed with the emergency department. Discussed with Radiology. Results called to ER. Paged ICU.
    Dictated by Radiology. Read by the resident. REVIEWED BY THE ATTENDING. Signed by: ___
    Patient positioning limits this. Patient Rotated. The radiologist Reviewed it. Physician Notification done.
    Patient: Male. Name: ___. ATTENDING: ___. Comparison: None. Radiologist:
    Swan-Ganz catheter, Kerley B lines, Port-A-Cath, Dobbhoff tube, Hickman line, Ghon complex, Bochdalek hernia.
    Per Fleischner Society criteria. COVID-19 pneumonia. Stage 3A. Grade 2. CT 64. T1-12. H1N1. 5-mm nodule.
    66yof with cough x3 days, 40 pack years, age 54, 30 years, seen 2 times, x10 magnification, 12:30.
    In 2014 a valve was placed. Since 2009. The film from 2011 shows it.
    Fracture age 3-4 weeks. Interval 10-12 days. ETT 4.5 cm above the carina. 1,500 mL. HU of 1200.
    Tip 12 mm. May 12 mm nodule. Two of 3 lines.
    This was communicated to the ordering physician at the time. He was informed.
    There are 3.4.5 lines and 12.5.3 numbers. Version 1.2.3.
    Radiologist Agreed Findings. Attending Physician Reviewed Images. Patient Rotated Positioning.
    An 89-year-old man, 90 degrees, 95 %, 120 kVp, 92 mm, 99 bpm, 9 years old, 100 mL, pain for 90 years, T 99F 2 hours.
    XXXX, XXXX
    CHEST, PA. LUNGS, PLEURA: clear. Lungs, Heart: clear. Cough, Fever: see below. CHEST, PORTABLE
    Opacity from 3/4 the left lung. 2 Small Nodules and 12 Right Ribs. PA 12345 images.
    Heart, Mediastinum: normal. Supine, Portable. NP tube. The RN was told. PA was informed.
    reported by telephone. performed by CT. The technologist reported motion.
"""


def planted() -> list[tuple[str, str]]:
    return [(kind, line.strip()) for kind, lines in PLANTED.items() for line in lines.strip().splitlines()]


@pytest.mark.parametrize(("kind", "line"), planted())
def test_what_is_planted_is_found_and_nothing_else(kind, line):
    before, what, after = line.split("|")
    text = f"The heart is normal in size. {before}{what}{after} No effusion."
    found = [(each.kind, text[each.start : each.end]) for each in find_identifiers(text)]
    assert [each for each in found if each[0] == kind], found
    assert what in found[0][1] or found[0][1] in what
    assert len(found) == 1


@pytest.mark.parametrize("line", [line.strip() for line in SAFE.strip().splitlines()])
def test_what_names_nobody_is_let_be(line):
    assert [line[each.start : each.end] for each in find_identifiers(line)] == []


@pytest.mark.parametrize("line", ["DOE, JANE", "DOE, JANE Q.", "Smith, John:", "  Smith, John: cough"])
def test_a_turned_name_is_found_where_a_line_begins(line):
    (found,) = find_identifiers(f"The heart is normal.\n{line}\nNo effusion.")
    assert found.kind == "name"


def test_several_in_one_text_come_in_order_and_do_not_overlap():
    text = "Seen 3/14/2019 by Dr. Smith (pager 12345), MRN 1234567, write to a@b.org."
    found = find_identifiers(text)
    assert [each.kind for each in found] == ["date", "name", "phone", "record number", "email"]
    assert all(one.end <= two.start for one, two in pairwise(found))


@given(st.text())
def test_any_text_is_read(text):
    for each in find_identifiers(text):
        assert each.kind in KINDS
        assert 0 <= each.start < each.end <= len(text)


PIECES = ["Dr. ", "Mc", "1", "-", " ", "/", "12", ".", "March ", "(", "555", "MRN", "#", "a@", "by ", ": ", "A", "x"]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_heaps_of_pieces_are_read(text):
    find_identifiers(text)


@pytest.mark.parametrize(
    "piece", ["1", "1-", "1 ", "a@", "Dr. ", "A. ", "Ab, ", "de la ", "mrn ", "12/", "1.", "Mar ", "x1", "(555) ", ":"]
)
def test_a_text_without_end_holds_nobody_up(piece):
    start = time.process_time()
    find_identifiers(piece * (2 * LONGEST // len(piece)))
    assert time.process_time() - start < 5


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_no_real_deidentified_report_raises_an_alarm():
    from tests.scoring.openi import reports

    text = "\n".join(
        (Path(REAL or "") / "section_samples" / name).read_text() for name in ("mimic_public_example.txt",)
    )
    texts = [text, *(section for both in reports(100_000) for section in both)]
    assert len(texts) > 4000
    assert [text for text in texts if find_identifiers(text)] == []
