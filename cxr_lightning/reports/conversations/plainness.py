"""Whether a sentence says plainly that a finding is there, or is not: regular expressions and what they are for.

Enters a sentence; leaves whether it leaves open which, tells of an artefact, of what was taken out, or denies one kind.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty

# A denial of one kind is no denial: "no large effusion", "no displaced fracture", "no definite pneumothorax".
_QUALIFIED = re.compile(
    r"\b(?:large|moderate|sizable|definite|definitive|obvious|gross|acute|displaced|suspicious|significant|overt|tension"
    r"|new|massive|dominant|convincing|clear evidence|frank|other|further|additional|right|left|upper|lower|apical"
    r"|alveolar|compression|rib|noncalcified|worrisome|discrete|evident|appreciable|substantial|lobar)\b",
    re.IGNORECASE,
)
# "Scarring or atelectasis": one of them, and it is open which. "Probable effusion", an overlap, an artefact, another
# examination's finding, and what lost its verb to a blank ("may healing fracture") are no plain yes either.
_NOT_PLAIN = re.compile(
    r"\b(?:or|versus|vs|either|ct|mri|recommend\w*|superimpos\w*|artifact\w*|nipples?|probabl[ey]|likely|presum\w+"
    r"|may (?!be|represent|reflect|relate|indicate|suggest|also))\b|[a-z]/[a-z]",
    re.IGNORECASE,
)
# What is no longer there, or not all of it: "the effusion has been drained".
_TAKEN_OUT = re.compile(r"\b(?:drained|evacuated|aspirated|tapped|resected|excised)\b", re.IGNORECASE)
_ARTEFACT = re.compile(
    r"\b(?:may|might|could|likely|probabl[ey]|possib\w+|represents?|favou?r\w*|suspected|due|secondary)\b"
    r"[^.]*\b(?:art[ei]fact\w*|nipples?|summation|skin ?folds?|overlap\w*|overlying (?:structures|shadows|soft))\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:mediastinal|hilar|paratracheal|thyroid|chest wall|soft tissue|breast|abdominal|neck|axillary|adrenal)"
    r" (?:\w+ )?mass(?:es)?\b|\bgoiter\b",
    re.IGNORECASE,
)
_MATERIAL = (
    r"(?:leads?|catheters?|wires?|screws?|hardware|rods?|tubes?|plates?|stents?|filters?|pacemakers?|electrodes?)"
)
_OWN = r"(?:(?!(?:and|or|with|ribs?|bones?|no)\b)[\w-]+ )"
_BROKEN_DEVICE = re.compile(
    rf"\bfractures? (?:of|in|through|involving) {_OWN}{{0,5}}?{_MATERIAL}\b"
    rf"|\b{_MATERIAL} {_OWN}{{0,3}}?fracture[ds]?\b|\bfractured {_OWN}{{0,3}}?{_MATERIAL}\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=1 << 14)
def is_qualified(sentence: str) -> bool:
    """Tell whether a denial is one of a kind only."""
    return _QUALIFIED.search(sentence) is not None


@lru_cache(maxsize=1 << 14)
def is_plain(sentence: str) -> bool:
    """Tell whether what a sentence states is neither one of two things nor less than sure."""
    return _NOT_PLAIN.search(sentence) is None


@lru_cache(maxsize=1 << 14)
def is_taken_out(sentence: str) -> bool:
    """Tell whether something is no longer there, or not all of it."""
    return _TAKEN_OUT.search(sentence) is not None


@lru_cache(maxsize=1 << 14)
def may_be_artefact(sentence: str) -> bool:
    """Tell whether a sentence takes something for a shadow of nothing: "This may be artifact"."""
    return _ARTEFACT.search(sentence) is not None


@lru_cache(maxsize=1 << 14)
def is_mass_elsewhere(sentence: str) -> bool:
    """Tell whether there may be a mass outside the lungs: "no lung mass" is then no "no mass"."""
    words = sentence.lower()
    return any(certainty(words, *match.span()) is not Certainty.ABSENT for match in _ELSEWHERE.finditer(words))


@lru_cache(maxsize=1 << 14)
def is_of_a_device(sentence: str) -> bool:
    """Tell whether what a sentence calls broken is no bone but a device.

    Args:
        sentence: One sentence.
    """
    return _BROKEN_DEVICE.search(sentence) is not None
