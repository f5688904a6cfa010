"""A heading as it was typed enters, the section it opens leaves: the table of names, and what counts as one of them.

MIMIC-CXR's reports alone use about a hundred spellings. Names are compared without case, digits, brackets and small
words, a long word may have one slip of the keyboard, and a title that names only views ("PORTABLE AP CHEST, 5:12 AM")
opens the findings, as it does in that archive.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Section = Literal[
    "indication",
    "technique",
    "comparison",
    "findings",
    "impression",
    "exam",
    "other",
    "addendum",
    "preliminary",
    "title",
]
"""What a part of a report is. `exam` says what was done, `title` is the report's own title, `preliminary` is what was
read before the report was signed."""

SPELLINGS: dict[Section, str] = {
    "findings": """findings|finding|findings impression|findings impressions|finding impression|chest findings|result
        radiographic findings|radiological findings|radiologic findings|imaging findings|lung findings|x ray findings
        reference findings|technique findings|observations|observation|description|report|report text|narrative
        findings conclusion|findings of chest|results|body of report|findings on chest x ray""",
    "impression": """impression|impressions|final impression|radiological impression|imp
        conclusion|conclusions|opinion|summary|overall summary|assessment|overall assessment|interpretation
        diagnosis|diagnoses|imaging diagnosis|imaging diagnoses|radiological diagnosis|final diagnosis|impression plan
        impression recommendation|impression recommendations|conclusion recommendation|impression conclusion
        overall impression|concluding impression|impression summary|concl|final interpretation""",
    "indication": """indication|indications|clinical indication|clinical indications|clinic indication|history
        clinical history|patient history|patient s history|brief history|relevant history|medical history
        history of present illness|clinical information|clinical data|clinical details|clinical question
        clinical context|clinical statement|clinical notes|clinical background|clinical problem|clinical
        reason for exam|reason for examination|reason for study|reason for request|reason for referral|reason for test
        reason for visit|reason for procedure|reason for x ray|reason of exam|reason fore exam|reason for indication
        reason|indication for exam|indication for examination|indication for study|indication for procedure
        indication history|history indication|history reason for exam|chest history|symptoms|symptom
        signs symptoms|clinical information questions to be answered|additional clinical history provided
        additional history|interval history|chief complaint|presenting complaint|admitting diagnosis|referral reason
        ordering diagnosis|clinical indication for exam|clinical indication for study|exam indication
        clinical impression""",
    "technique": """technique|techniques|imaging technique|exam technique|method|methods|protocol|imaging protocol
        procedure|procedure comments|procedure details|view|views|number of views|views obtained|projection
        projections|technical factors|technical details|procedure technique|technique views|exam views""",
    "comparison": """comparison|comparisons|comparison study|comparison studies|comparison film|comparison films
        comparison exam|comparison exams|comparison examination|comparison examinations|comparison made
        comparison to prior study|comparison to|comparison date|comparison radiograph|comparison radiographs
        comparison chest|prior study|prior studies|prior exam|prior exams|prior examination|prior imaging|prior films
        priors|prior|previous study|previous studies|previous exam|previous films|previous imaging|compare
        reference exam|reference examination|reference study|correlation|relevant prior imaging|compared to""",
    "exam": """exam|examination|exams|examinations|type of exam|type of examination|type of study|exam type
        study type|study|study description|exam description|examination performed|exam performed|procedure performed
        modality|body part|title|title of exam|radiograph|service""",
    "other": """study date|date|date of exam|date of examination|date of study|date of service|exam date|time|date time
        exam time|notification|notifications|notification of critical results|critical results|critical result
        critical result notification|recommendation|recommendations|recommendation s|recommendations s|plan
        management|follow up|signed|signed by|electronically signed|electronically signed by|dictated|dictated by
        transcribed|transcribed by|approved by|verified by|read by|reported by|reporting radiologist|reviewed by
        attending radiologist|radiologist|attending|resident|physician|ordering physician|referring physician
        ordering provider|provider|cc|name|patient|patient name|patient s name|patient id|mrn|medical record number
        medical record|accession|accession number|accession no|dob|date of birth|age|sex|gender|location|comment
        comments|note|notes|technologist note|technologist s note|technologist notes|disclaimer|attestation
        teaching physician attestation|attending attestation|workstation|job number|billing|icd codes|cpt""",
    "addendum": """addendum|addenda|final addendum|amendment|amended report|corrected report|addendum report
        addendum begins|report addendum|addendum to report|correction""",
    "preliminary": """wet read|wetread|wet read version|preliminary report|preliminary read|preliminary reading
        preliminary impression|preliminary findings|preliminary findings impression|preliminary interpretation
        provisional findings impression|provisional report|provisional impression|pfi|prelim|resident preliminary
        preliminary radiology report|preliminary""",
    "title": "final report|main report|radiology report|radiological report|chest x ray report|original report|final",
}
STRONG = ("FINDINGS", "IMPRESSION", "INDICATION", "TECHNIQUE", "COMPARISON", "CONCLUSION", "IMPRESSIONS", "COMPARISONS")
"""Names that open a section even where their colon was forgotten."""
SOFT = frozenset(
    {"location", "comment", "comments", "note", "notes", "follow up", "plan", "management", "correlation", "reason"}
    | {"recommendation", "recommendations", "recommendation s", "recommendations s", "prior"}
)
"""Names that are words of a sentence too: "Location: right upper lobe". Inside findings and impression they end the
section only in capitals or alone on their line."""

_SMALL = frozenset({"and", "the", "or", "an"})
_TABLE: dict[str, Section] = {
    name.strip(): section
    for section, names in SPELLINGS.items()
    for line in names.splitlines()
    for name in line.split("|")
}
_ADDED = re.compile(
    r"(?:(?:first|second|third|final|revised|st|nd|rd|th) )?addend(?:um|a)(?: (?:by|from|per|dated|to|on)\b|$)"
)
"""An addendum with its number, author or date: "ADDENDUM BY DR. ___", "2ND ADDENDUM"."""
_BRACKETS = re.compile(r"\([^()]*\)")
_LETTERS = re.compile(r"[a-z]+")

_LONG = 6
_KNOWN = frozenset(word for name in _TABLE for word in name.split())
_PICTURES = frozenset(
    "chest view views radiograph radiographs radiography film films xray xrays cxr ray rays image images ribs".split()  # noqa: SIM905
)
_SIDES = frozenset("pa ap lateral lat frontal".split())  # noqa: SIM905
_VIEW_WORDS = (
    _PICTURES
    | _SIDES
    | frozenset(
        """x and portable bedside upright supine semi erect semierect semiupright semisupine prone single double one two
        three four five several left right oblique decubitus lordotic kyphotic rotated positioning position centered low
        of at on from dated performed with without in to a m p am pm hours hrs the compared comparison prior inspiration
        expiration including includes upper abdomen abdominal dedicated digital routine standard plain history only
        vies laterl frontral portalble portal series""".split()  # noqa: SIM905
    )
)


@lru_cache(maxsize=8192)
def section_of(name: str) -> Section | None:
    """Say which section a heading opens.

    Args:
        name: The heading without its colon, as it was typed.

    Returns:
        The section, or None where that is no heading's name.
    """
    words = _words(name)
    if not words or len(words) > 12:
        return None
    if section := _TABLE.get(" ".join(words)):
        return section
    if words[:2] == ["wet", "read"]:
        return "preliminary"
    if _ADDED.match(" ".join(words)):
        return "addendum"
    return _TABLE.get(" ".join(_mended(word) for word in words))


@lru_cache(maxsize=8192)
def is_soft(name: str) -> bool:
    """Tell whether a heading is one of `SOFT`.

    Args:
        name: The heading without its colon, as it was typed.
    """
    return " ".join(_words(name)) in SOFT


@lru_cache(maxsize=8192)
def names_views(name: str) -> bool:
    """Tell whether a heading names the views and nothing else: "PA AND LATERAL VIEWS OF THE CHEST".

    Args:
        name: The heading without its colon, as it was typed.
    """
    words = set(_LETTERS.findall(name.lower()))
    return bool(words) and words <= _VIEW_WORDS and (bool(words & _PICTURES) or len(words & _SIDES) > 1)


def _words(name: str) -> list[str]:
    bare = _BRACKETS.sub(" ", name.lower()) if "(" in name else name.lower()
    return [word for word in _LETTERS.findall(bare) if word not in _SMALL]


def _less_one(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(len(word))} | {word}


# A slip of the keyboard (a letter too many, too few, wrong, or two swapped) leaves two words that are the same once
# each has lost a letter.
_NEAR = {shorter: word for word in sorted(_KNOWN) if len(word) >= _LONG for shorter in _less_one(word)}


def _mended(word: str) -> str:
    if word in _KNOWN or not _LONG - 1 <= len(word) <= 20:
        return word
    return next((_NEAR[shorter] for shorter in sorted(_less_one(word)) if shorter in _NEAR), word)
