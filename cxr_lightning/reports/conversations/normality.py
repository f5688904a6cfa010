"""What no labeler's vocabulary holds, and a radiologist names all the same, in words that a patient understands.

Enters a sentence; leaves what it states of such things. And a whole text: whether it sums the film up as normal.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty
from cxr_lightning.reports.conversations.sound import plain

_BETWEEN = r"(?:(?!(?:and|or|with|no|normal|granuloma\w*|nodes?|valv\w+|coronary|carotid|splenic)\b)\w+ ){0,5}"
"""Words of one clause, none of which begins another thing."""
_AORTA = r"(?:aort(?:a|ic)(?! (?:valv\w+|annul\w+|stenosis))|arch)"


def _of_aorta(words: str) -> str:
    """What is said of the aorta, before it or behind it; of another vessel it would be another explanation."""
    return rf"(?:{words}) {_BETWEEN}{_AORTA}\b|{_AORTA} {_BETWEEN}(?:{words})"


LAY: dict[str, tuple[str, str]] = {
    "granuloma": (
        r"granulomas?|granulomata|granulomatous (?:\w+ )?(?:disease|changes?|calcifications?|process|infection"
        r"|sequelae?|exposure)|calcified (?:\w+ ){0,3}?(?:lymph )?nodes?",
        "at least one calcified scar (granuloma)",
    ),
    "scoliosis": (
        r"(?:dextro|levo)?scolio(?:sis|tic)|(?:dextro|levo)(?:curvature|convex\w*)",
        "a sideways curve of the spine (scoliosis)",
    ),
    "kyphosis": (r"(?:hyper)?kypho(?:sis|tic)", "a forward curve of the spine (kyphosis)"),
    "degeneration": (
        r"degenerative(?: \w+){0,3}|osteophyt\w+|spondylosis|spurring|arthritis|arthritic|osteoarthritis|arthrosis"
        r"|disc space narrowing",
        "wear of the bones or joints (degenerative change)",
    ),
    "hyperinflation": (
        r"hyperinflat\w+|hyperexpan\w+|hyperaerat\w+|flatten\w* (?:of )?(?:the )?(?:hemi)?diaphragms?"
        r"|(?:hemi)?diaphragms? (?:are|is) flattened",
        "more air in the lungs than usual (hyperinflation)",
    ),
    "low volumes": (
        r"(?:low|decreased|reduced|small) (?:lung )?volumes?"
        r"|(?:lung )?volumes? (?:are|is|remain) (?:low|decreased|reduced|small)"
        r"|hypoinflat\w+|hypoventilat\w+",
        "less air in the lungs than usual (low lung volumes)",
    ),
    "emphysema": (
        r"(?<!subcutaneous )emphysem\w+|bullous|bullae?",
        "an overstretching of the air sacs (emphysema)",
    ),
    "copd": (r"copd|chronic obstructive", "a lasting disease of the airways (COPD)"),
    "hernia": (r"hiat(?:al|us) hernias?", "a part of the stomach that lies in the chest (hiatal hernia)"),
    "atherosclerosis": (
        _of_aorta(r"atherosclero\w+|calcifi\w+|calcific"),
        "a hardening of the main artery (atherosclerosis of the aorta)",
    ),
    "tortuosity": (
        _of_aorta(r"tortuous|tortuosity|ectatic|ectasia|unfold\w+|uncoil\w+|dilated|prominent"),
        "a main artery that is wider or more winding than usual (tortuous aorta)",
    ),
    "surgery": (
        r"sternotomy|cabg|cholecystectomy(?: clips)?|surgical (?:clips?|changes?|material|sutures?)|clips|wires"
        r"|postsurgical|postoperative|mastectomy|lobectomy|thoracotomy|sutures?|stents?|staples?",
        "material or traces of an earlier operation",
    ),
    "raised diaphragm": (
        r"eventration|elevat(?:ed|ion)(?: of)?(?: the)?(?: (?:left|right))? (?:hemi)?diaphragm"
        r"|(?:hemi)?diaphragm (?:elevation|(?:is|remains|appears) (?:\w+ )?elevated)",
        "a half of the breathing muscle that stands higher than usual (elevated diaphragm)",
    ),
    "deformity": (
        r"(?:rib|vertebral(?: body)?|compression|wedge|wedging|clavic\w+|spine) deformit(?:y|ies)"
        r"|deformit(?:y|ies) (?:of|in|is noted in|are noted in|at) (?:\w+ ){0,5}"
        r"(?:ribs?|vertebra\w*|spine|clavicle|t\d+)",
        "a bone that has lost its usual shape (deformity)",
    ),
    "thin bones": (
        r"osteopeni[ac]|osteoporo(?:sis|tic)|(?:bone |osseous )?demineralization|demineralized",
        "a lower density of the bones than usual (osteopenia)",
    ),
    "scar": (r"scar(?:s|ring)?|fibro(?:sis|tic)|pleuroparenchymal", "scar tissue in the lung (scarring)"),
}
"""What a patient may be told of, with the ways in which it is said."""

_OVERALL = re.compile(
    r"\bno (?:\w+ ){0,4}(?:acute|active|significant|evidence of)\b[^.]{0,60}\b(?:disease|process|abnormalit\w+"
    r"|findings?|patholog\w+)|\b(?:normal|negative|unremarkable) (?:\w+ ){0,3}(?:chest|stud\w+|exam\w*|film"
    r"|radiograph\w*)"
    r"|\bno (?:\w+ ){0,2}abnormalit\w+|\bnegative for (?:acute|active)\b",
    re.IGNORECASE,
)
_WORDS = {name: re.compile(rf"\b(?:{words})\b") for name, (words, _) in LAY.items()}
_ANY = re.compile("|".join(f"(?:{words})" for words, _ in LAY.values()))
_BOTH_LUNGS = ("hyperinflation", "low volumes")
# A lung that is larger or darker than the other one is another thing than too much air in both.
_ONE_SIDED = re.compile(r"\b(?:left|right|unilateral|hemithorax)\b")


@lru_cache(maxsize=1 << 14)
def beyond(sentence: str, verdict: Certainty = Certainty.PRESENT) -> tuple[str, ...]:
    """Name what a sentence states beyond the labeler's vocabulary, or leaves open.

    Args:
        sentence: One sentence.
        verdict: Which of the two.

    Returns:
        Keys of `LAY`.
    """
    return tuple(dict.fromkeys(name for name, _, _ in spans_beyond(sentence, verdict)))


@lru_cache(maxsize=1 << 14)
def spans_beyond(sentence: str, verdict: Certainty = Certainty.PRESENT) -> tuple[tuple[str, int, int], ...]:
    """Find what a sentence states beyond the labeler's vocabulary, or leaves open.

    Args:
        sentence: One sentence.
        verdict: Which of the two.

    Returns:
        Keys of `LAY`, each with its begin and end in the sentence as `plain` writes it.
    """
    words = plain(sentence)
    if not _ANY.search(words):
        return ()
    return tuple(
        (name, match.start(), match.end())
        for name, pattern in _WORDS.items()
        if name not in _BOTH_LUNGS or not _ONE_SIDED.search(words)
        for match in pattern.finditer(words)
        if certainty(words, match.start(), match.end()) is verdict
    )


def sums_up(text: str) -> bool:
    """Tell whether a text says of the whole film that nothing is wrong with it, not only of some part.

    Args:
        text: Findings and impression.
    """
    return _OVERALL.search(text) is not None
