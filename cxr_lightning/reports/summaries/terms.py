"""Findings and devices that are none of the 14 observations, so that a summary can neither lose nor invent them.

Enters a text; leaves for each what the text says of it. Whether it is denied is read by the rules of `findings`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty
from cxr_lightning.findings.sentences import LONGEST, read_sentences
from cxr_lightning.reports.summaries.devices import DEVICES

TERMS: dict[str, str] = {
    "clear lungs": r"lungs?(?: fields?)?(?: \w+){0,3} (?:is|are|appears?|remains?) (?:\w+ ){0,2}clear|clear lungs?\b"
    r"|lungs? (?:\w+ly )?clear\b",
    "hyperinflation": r"hyper ?(?:inflat|expan|aerat)\w+|over ?inflat\w+"
    r"|flatten\w+ (?:of the |of both )?(?:hemi)?diaphragms?",
    "low lung volumes": r"(?:low|small|shallow|reduced|decreased|diminished) (?:lung )?(?:volumes?|inspirat\w+)"
    r"|hypo ?(?:inflat|ventilat|expan|aerat)\w+|lung volumes? (?:\w+ ){0,2}(?:low|small|reduced|decreased)",
    "emphysema": r"emphysema\w*|copd|chronic obstructive\b|bullae?|bullous|blebs?",
    "granuloma": r"granulomas?|granulomatous",
    "calcification": r"calcifi\w+",
    "scarring": r"scar(?:s|ring|red)?\b|fibro(?:sis|tic)",
    "hernia": r"hernias?",
    "degenerative change": r"degenerat\w+|osteophyt\w+|spondylo\w+|arthr(?:itis|osis|itic)|spurring",
    "scoliosis": r"scolio\w+",
    "kyphosis": r"kypho\w+",
    "osteopenia": r"osteopen\w+|osteopor\w+|demineral\w+",
    "tortuous aorta": r"tortu\w+|ectat\w+|uncoil\w+",
    "aneurysm": r"aneurysm\w*",
    "atherosclerosis": r"athero\w+",
    "adenopathy": r"(?:lymph)?adenopathy|enlarged (?:lymph )?nodes?",
    "sternotomy": r"sternotomy|sternal wires?",
    "clips": r"clips?\b|sutures?\b|staples?\b",
    "free air": r"(?:free|subdiaphragmatic|intraperitoneal) (?:intraperitoneal |intra abdominal )?(?:air|gas)"
    r"|pneumoperitoneum|pneumomediastinum",
    "subcutaneous emphysema": r"subcutaneous (?:air|gas|emphysema)",
    "bronchiectasis": r"bronchiect\w+",
    "bronchial thickening": r"(?:peri)?bronchial (?:wall )?(?:thickening|cuffing)|peribronchial\b",
    "elevated diaphragm": r"(?:elevat|rais)\w+(?: of)?(?: \w+){0,3} (?:hemi ?)?diaphragms?"
    r"|(?:hemi ?)?diaphragms?(?: \w+){0,2} (?:elevat|rais)\w+|eventration",
    "cavity": r"cavit(?:y|ies|ation|ary|ated)",
    "tuberculosis": r"tubercul\w+|\btb\b",
    "sarcoidosis": r"sarcoid\w*",
    "embolus": r"embol\w+",
    "dislocation": r"dislocat\w+|subluxat\w+",
    "foreign body": r"foreign (?:body|bodies|object)",
    "cyst": r"cysts?\b|cystic",
    "goitre": r"goit\w+|thyromegaly",
    "contusion": r"contusions?",
    "blunting": r"blunt\w+",
    "hilar enlargement": r"(?:hilar|hila|hilum)(?: \w+){0,3} (?:enlarge\w+|prominen\w+|fullness)"
    r"|(?:enlarge\w+|prominen\w+|fullness)(?: \w+){0,3} (?:hilar|hila|hilum)",
    "tracheal deviation": r"trachea\w*(?: \w+){0,3} (?:deviat|shift|displac)\w+|mediastinal shift"
    r"|(?:shift|deviation) of the (?:mediastinum|trachea)|mediastin\w+(?: \w+){0,2} shifted",
    "valve disease": r"stenosis|regurgitation",
}
"""Each by the ways in which it is said, in lower case and with hyphens as spaces."""

_ALL = {name: rf"(?:{words})(?!\w)" for name, words in DEVICES.items()} | TERMS
_TERMS = re.compile(r"\b(?:" + "|".join(f"(?P<t{number}>{words})" for number, words in enumerate(_ALL.values())) + r")")
_NAMES = tuple(_ALL)
_SPACES = re.compile(r"[\s\-‐-―_()\[\]]+")
_WEIGHT = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT)


def find_terms(text: str) -> dict[str, Certainty]:
    """Reads what a text says of each term that it names.

    Args:
        text: A report or a summary.

    Returns:
        Where sentences differ, one that states it outweighs one that leaves it open, and that one a denial.
    """
    found: dict[str, Certainty] = {}
    for sentence in read_sentences(text):
        for name, verdict in _read(sentence):
            found[name] = min(found.get(name, verdict), verdict, key=_WEIGHT.index)
    return found


@lru_cache(maxsize=1 << 15)
def _read(sentence: str) -> tuple[tuple[str, Certainty], ...]:
    """Reads one sentence; remembered, since reports repeat each other's sentences."""
    words = _SPACES.sub(" ", sentence.lower())[:LONGEST]
    return tuple(
        (_NAMES[int((match.lastgroup or "t0")[1:])], certainty(words, match.start(), match.end()))
        for match in _TERMS.finditer(words)
    )
