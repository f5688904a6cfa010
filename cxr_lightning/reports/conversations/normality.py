"""What no labeler's vocabulary holds, and a radiologist names all the same: with it, a chest is not called normal.

Enters a sentence; leaves what it states of such things, each with the words that a patient understands.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty

_BETWEEN = r"(?:(?!(?:and|or|with|no|normal|granuloma\w*|nodes?|valv\w+|coronary|carotid|splenic)\b)\w+ ){0,5}"
"""Words of one clause, none of which begins another thing."""
_AORTA = r"(?:aort(?:a|ic)(?! (?:valv\w+|annul\w+|stenosis))|arch)"


def _of_aorta(words: str) -> str:
    """What is said of the aorta, before it or behind it; of another vessel it would be another explanation."""
    return rf"(?:{words}) {_BETWEEN}{_AORTA}\b|{_AORTA} {_BETWEEN}(?:{words})"


LAY: dict[str, tuple[str, str]] = {
    "granuloma": (
        r"granulomas?|granulomata|granulomatous (?:disease|changes?|calcifications?)"
        r"|calcified (?:\w+ )?(?:lymph )?nodes?",
        "at least one calcified scar (granuloma)",
    ),
    "scoliosis": (r"(?:dextro|levo)?scolio(?:sis|tic)", "a sideways curve of the spine (scoliosis)"),
    "kyphosis": (r"(?:hyper)?kypho(?:sis|tic)", "a forward curve of the spine (kyphosis)"),
    "degeneration": (
        r"degenerative(?: \w+){0,3}|osteophyt\w+|spondylosis|spurring|arthritis|arthritic|osteoarthritis|arthrosis"
        r"|disc space narrowing",
        "wear of the bones or joints (degenerative change)",
    ),
    "hyperinflation": (
        r"hyperinflat\w+|hyperexpan\w+|hyperaerat\w+|flatten\w* (?:of )?(?:the )?(?:hemi)?diaphragms?"
        r"|(?:hemi)?diaphragms? (?:are|is) flattened|hyperlucen\w+",
        "more air in the lungs than usual (hyperinflation)",
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
        r"sternotomy|cabg|surgical (?:clips?|changes?|material|sutures?)|clips|wires|postsurgical|postoperative"
        r"|mastectomy|lobectomy|thoracotomy|sutures?|stents?|staples?",
        "material or traces of an earlier operation",
    ),
    "scar": (r"scar(?:s|ring)?|fibro(?:sis|tic)|pleuroparenchymal", "scar tissue in the lung (scarring)"),
}
"""What a patient may be told of, with the ways in which it is said."""

_OTHER = (
    r"elevat\w+|eventration|deformit(?:y|ies)|blunt(?:ed|ing)|thicken\w+|low lung volumes?|hypoinflat\w+"
    r"|hypoventilat\w+|prominen\w+|calcifi\w+|calcific|cyst\w*|bronchiectas\w+|lymphadenopathy|adenopathy"
    r"|osteopeni\w+|osteoporo\w+|demineraliz\w+|compress\w+|wedg\w+|sclero\w+|lytic|dislocat\w+|widening|widened"
    r"|foreign bod(?:y|ies)|shift\w*|deviat\w+|pleural|crowd\w+|coarse\w*|increased|decreased|abnormal\w*"
    r"|density|densities|markings|asymmetr\w+|subcutaneous emphysema|pneumomediastinum|pneumoperitoneum|free air"
    r"|bronchitis|bronchial|peribronchial|cuffing|reactive airways?|viral|atypical|sequela\w*|chronic|old|healed"
    r"|residual|nipple|fat pad|gynecomastia|situs|dextrocardia|azygos|enlarge\w+|borderline|obscur\w+|suboptimal"
    r"|limited|rotat\w+|artifact\w*|bowel|gas|anomal\w+|congenital|variant|cervical rib|degraded|fusion|cannot"
    r"|recommend\w*|follow ?up|ct|correlat\w+|suggest\w*|consider\w*|possib\w+|may|could|might|question\w*|mild\w*"
    r"|minimal\w*|slight\w*|small|tiny|few|subtle|moderate\w*|streaky|linear|haz[ey]\w*|scattered|interval|device|senescent|changes?|bullets?"
    r"|hernia\w*|atherosclero\w+|coronary|tortuous|tortuosity|ectatic|ectasia|unfold\w+|uncoil\w+|fractured?|broken"
    r"|metallic|amputat\w+|implants?|shrapnel|coils?|buttons?"
)
# Words that point to something else, which cleaning may have taken out: "the lungs are otherwise clear".
_ELSEWHERE = re.compile(r"\b(?:otherwise|other than|aside|apart|besides|except|non ?calcified|new|unchanged|stable)\b")
_OVERALL = re.compile(
    r"\bno (?:\w+ ){0,4}(?:acute|active|significant|evidence of)\b[^.]{0,60}\b(?:disease|process|abnormalit\w+"
    r"|findings?|patholog\w+)|\b(?:normal|negative|unremarkable) (?:\w+ ){0,3}(?:chest|stud\w+|exam\w*|film"
    r"|radiograph\w*)"
    r"|\bno (?:\w+ ){0,2}abnormalit\w+|\bnegative for (?:acute|active)\b",
    re.IGNORECASE,
)
_WORDS = {name: re.compile(rf"\b(?:{words})\b") for name, (words, _) in LAY.items()}
_ANY = re.compile("|".join(f"(?:{words})" for words, _ in LAY.values()))
_UNUSUAL = re.compile(rf"\b(?:{_OTHER})\b")


def _plain(sentence: str) -> str:
    return " ".join(sentence.lower().replace("-", " ").split())


@lru_cache(maxsize=1 << 14)
def beyond(sentence: str) -> tuple[str, ...]:
    """Name what a sentence states beyond the labeler's vocabulary.

    Args:
        sentence: One sentence.

    Returns:
        Keys of `LAY`.
    """
    words = _plain(sentence)
    if not _ANY.search(words):
        return ()
    return tuple(
        name
        for name, pattern in _WORDS.items()
        if any(certainty(words, match.start(), match.end()) is Certainty.PRESENT for match in pattern.finditer(words))
    )


@lru_cache(maxsize=1 << 14)
def is_unusual(sentence: str) -> bool:
    """Tell whether a sentence says anything that need not be said of a normal chest.

    Args:
        sentence: One sentence.
    """
    words = _plain(sentence)
    if _ELSEWHERE.search(words):
        return True
    found = (*_UNUSUAL.finditer(words), *_ANY.finditer(words))
    return any(certainty(words, match.start(), match.end()) is not Certainty.ABSENT for match in found)


def sums_up(text: str) -> bool:
    """Tell whether a text says of the whole film that nothing is wrong with it, not only of some part.

    Args:
        text: Findings and impression.
    """
    return _OVERALL.search(text) is not None
