"""Lays reports out as MIMIC-CXR's archive has them, each in another way: headings, gaps, addenda, early readings."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Mapping

NAMES = {
    "indication": (
        "INDICATION", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAMINATION", "REASON FOR EXAM",
        "CLINICAL INFORMATION",
        "CLINICAL INDICATION", "PATIENT HISTORY", "INDICATIONS", "REASON FOR THE EXAM", "IDICATION", "CLINCAL HISTORY",
        "PATIENT'S HISTORY", "CLINICAL INFORMATION & QUESTIONS TO BE ANSWERED", "REASON OF EXAM", "NDICATION",
    ),
    "comparison": (
        "COMPARISON", "COMPARISONS", "REFERENCE EXAM", "COMPARISON EXAM", "COMPARISON STUDY", "COMPARISON FILM",
        "COMPARISION", "COMPARSION", "COMAPRISON", "PRIOR STUDY", "COMPARISON (MRN ___)", "REFERENCE  EXAM",
    ),
    "technique": ("TECHNIQUE", "PROCEDURE", "TECHIQUE", "PROCEDURE DETAILS", "TECHNIQUES"),
    "findings": (
        "FINDINGS", "FINDING", "FINIDNGS", "FINDNGS", "FINSINGS", "FINDINDGS", "FIDINGS", "FINDINS", "FINDOINGS",
        "REPORT", "CHEST, TWO VIEWS", "PA AND LATERAL VIEWS OF THE CHEST", "PORTABLE AP CHEST RADIOGRAPH",
        "CHEST, SINGLE AP PORTABLE VIEW, ROTATED POSITIONING", "AP CHEST, 5:12 A.M., ___", "REFERENCE FINDINGS",
        "Findings", "FRONTAL AND LATERAL CHEST RADIOGRAPHS, THREE IMAGES", "PA & LATERAL CHEST X-RAY ___",
    ),
    "impression": (
        "IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS", "OPINION", "IMPRESION", "IMPRESSON", "MPRESSION",
        "IMPESSION", "IIMPRESSION", "IMPRESSIO___", "]IMPRESSION", "CONLCUSION", "IMPRESSOIN", "Impression",
        "FINAL IMPRESSION",
    ),
}  # fmt: skip
TITLES = ("CHEST RADIOGRAPH", "PA AND LATERAL CHEST RADIOGRAPH", "PORTABLE CHEST", "CHEST (PA AND LAT)", "")
RULE = f" {'_' * 78}\n"
EARLY = (
    "WET READ: ABCd MON ___ 5:17 PM\n No pneumonia. Final read pending.\n",
    "WET READ VERSION #1\n  small effusion, tube is fine\n",
    " PROVISIONAL FINDINGS IMPRESSION (PFI): ABCd TUE ___ 9:03 AM\n  Provisional words only.\n",
)
ADDENDA = (
    "                                 FINAL ADDENDUM\n ADDENDUM:  Results were told by telephone at 3:00 p.m.\n",
    " ADDENDUM  Upon further review there is nothing to add.\n \n DR. ___\n",
)
CORRECTIONS = (
    " ADDENDUM  The side was dictated wrongly.  The effusion is on the left, not the\n right.\n",
    " ADDENDUM  On further review there is a 9 mm nodule in the left upper lobe which\n was not described.\n",
    " ADDENDUM # 1 There is a small apical pneumothorax.\n \n DR. ___\n",
    " ADDENDUM - There is a healing rib fracture.\n",
    " ADDENDUM by Dr. ___: Small left pleural effusion.\n",
    " Addendum (___, 5:12 PM)  Small left pleural effusion.\n",
    "                                 FINAL ADDENDUM\n Small left pleural effusion.\n",
    " AMENDED REPORT  Small left pleural effusion.\n",
)
"""Addenda that say in prose what the report says wrongly or not at all."""


def lay_out(sections: Mapping[str, str], draw: random.Random) -> str:
    """Lays out one report.

    Args:
        sections: Texts by our names of sections; empty ones are left out.
        draw: What chooses; the same state lays out alike.
    """
    early = [draw.choice(EARLY) + RULE] if draw.random() < 0.15 else []
    added = (
        [draw.choice(ADDENDA + CORRECTIONS) + RULE for _ in range(draw.choice((1, 1, 2)))]
        if draw.random() < 0.15
        else []
    )
    title = draw.choice((*TITLES, "EXAMINATION:  CHEST (PORTABLE AP)", "EXAM:  Chest radiograph", "STUDY:  PA chest"))
    blocks = [f" {title}\n"] if title else []
    blocks += [_section(name, sections[name], draw) for name in NAMES if sections.get(name)]
    if draw.random() < 0.2:
        blocks.append(" NOTIFICATION:  The findings were told to Dr. ___ by telephone at 4:15 PM.\n")
    if draw.random() < 0.1:
        blocks.append(" RECOMMENDATION(S):  Follow-up in six weeks.\n")
    body = draw.choice((" \n", "\n", " \n \n")).join(blocks)
    text = "".join([*added, *early, f"{' ' * 33}FINAL REPORT\n", body])
    return text.replace("\n", "\r\n") if draw.random() < 0.1 else text


def is_corrected(text: str) -> bool:
    """Says whether a laid out report has one of `CORRECTIONS`."""
    return any(words.strip() in text.replace("\r\n", "\n") for words in CORRECTIONS)


def _section(name: str, words: str, draw: random.Random) -> str:
    heading = draw.choice(NAMES[name]) if draw.random() < 0.5 else name.upper()
    below = draw.random() < 0.3
    opening = f" {heading}:" + (
        draw.choice(("\n", " \n \n", "  \n")) + " " if below else draw.choice(("  ", " ", "\t"))
    )
    lines = textwrap.wrap(words, 78, break_long_words=False, break_on_hyphens=False)
    if not below:
        wrapped = textwrap.wrap(f"{opening.strip()}  {words}", 78, break_long_words=False, break_on_hyphens=False)
        return "".join(f" {line}\n" for line in wrapped)
    return opening.rstrip(" ") + "".join(f" {line}\n" for line in lines)
