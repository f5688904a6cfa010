"""A sentence with words blacked out enters, one that reads without them leaves; nothing, where a noun or verb is lost.

MIMIC-CXR writes `___`, Open-i `XXXX`, older sets `[** ... **]`. What was blacked out is unknown, and guessing it would
put words into a radiologist's mouth: a blank is cut where it stood before a noun or in a date, else the sentence goes.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_BLANK = r"(?:_{2,}|\bX{4,}\b|\[\*\*.*?\*\*\])"
_ANY_BLANK = re.compile(_BLANK)
_AGE = re.compile(rf"{_BLANK}[- ]?(?:year|yr|y)s?[- /]?(?:old|o)\b\s*", _I)
_DATED = re.compile(
    rf"\s*\(?\b(?:dated|performed on|from|on|at) (?:{_BLANK}[\s,/:-]*)+(?:[ap]\.?m\b\.?|hours?)?\)?(?=\s*(?:$|[,;.)]))",
    _I,
)
_XRAY = re.compile(rf"\s*\bx-\s*{_BLANK}", _I)
_NO_SIGN_OF = re.compile(rf"(?<=\bno ){_BLANK} of (?:an? |the )?(?=\w)", _I)
_LAST_PLACE = re.compile(
    rf"\s(?:at|in|within|overlying|near|along|over|involving|for|by)(?: the| a)?(?: [\w-]+){{0,2}} {_BLANK}$", _I
)
# Before these words the blank was a noun or a verb of its own, and the sentence would limp without it.
_LIMPS_BEFORE = frozenset(
    """of and or is are was were be been in on the to with at for by from has have as that than which may can could
    normal clear intact unremarkable stable appear appears remain remains seen noted within without but there overlying
    otherwise demonstrate demonstrates""".split()  # noqa: SIM905
)
_GOES_AFTER = frozenset(
    """a an the no any some is are was with without and or of in from there mild moderate small large minimal probable
    possible multiple few several scattered patchy streaky bilateral left right focal""".split()  # noqa: SIM905
)
_GOES_BEFORE = frozenset("represent represents representing reflect reflects reflecting secondary due related".split())  # noqa: SIM905

_WANTS_NOUN = frozenset("pulmonary costophrenic aortic hilar mediastinal cardiac bony osseous soft lymph both".split())  # noqa: SIM905


def without_blanks(sentence: str) -> str:
    """Cut the blanks of a sentence.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        The sentence without them, or the empty string where it would not read.
    """
    shorter = _NO_SIGN_OF.sub("", _XRAY.sub("", sentence))
    shorter = _LAST_PLACE.sub("", _AGE.sub("", _DATED.sub("", shorter)))
    while blank := _ANY_BLANK.search(shorter):
        before, after = shorter[: blank.start()].split(), shorter[blank.end() :].split()
        if not _can_go(before, after):
            return ""
        shorter = " ".join(before + after)
    return shorter


def _can_go(before: list[str], after: list[str]) -> bool:
    """Tell whether a blank merely qualified the word after it."""
    if not after:
        return False
    following = after[0].lower().strip(".,;:")
    if _ANY_BLANK.match(after[0]):
        # A row of blanks stands or falls with its last one.
        return True
    if not following[:1].isalpha() or following in _LIMPS_BEFORE:
        return False
    if not before or before[-1].lower() in _GOES_AFTER:
        return True
    return following in _GOES_BEFORE and before[-1].lower() not in _WANTS_NOUN
