"""A sentence with words blacked out enters, one that reads without them leaves; nothing, where a noun or verb is lost.

MIMIC-CXR writes `___`, Open-i `XXXX`, older sets `[** ... **]`. What was blacked out is unknown, and guessing it would
put words into a radiologist's mouth: a blank is cut where it stood before a noun or in a date, else the sentence goes.
Behind a denial no blank is cut but a date: "no XXXX infiltrates" may have been "no new infiltrates", which denies less.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
BLANK = r"(?:_{2,}|\bX{4,}\b|\[\*\*.*?\*\*\])"
"""A word blacked out, as a pattern; in small letters too where case is ignored."""

_ANY_BLANK = re.compile(BLANK)
_AGE = re.compile(rf"{BLANK}[- ]?(?:year|yr|y)s?[- /]?(?:old|o)\b\s*", _I)
_DATED = re.compile(
    rf"\s*\(?\b(?:dated|performed on|from|on|at) (?:{BLANK}[\s,/:-]*)+(?:[ap]\.?m\b\.?|hours?)?\)?(?=\s*(?:$|[,;.)]))",
    _I,
)
_XRAY = re.compile(rf"\s*\bx-\s*{BLANK}(?: of(?: the)?(?= chest))?", _I)
# A size that was blacked out goes with its unit: "a ___ mm nodule", "___ cm above the carina", ", measuring ___ cm".
_LENGTH = rf"{BLANK}(?:\s*(?:x|by|to|-|and)\s*{BLANK})*[\s-]*(?:cm|mm|centimeters?|millimeters?)\b"
_MEASURED = re.compile(
    rf"(?:,?\s(?:(?:which|that|and|now) )*measur(?:es|ed|ing)(?: (?:up to|approximately|about|at least))?"
    rf"|,?\s(?:approximately|about)|(?<!\bthan)"
    rf"(?<!\bby)(?<!\bof)(?<!\bto)(?<!\bwithin)(?<!\bleast)(?<!\bfrom)(?<!\bfor)(?<!\band)(?<!\bor)) {_LENGTH}"
    r"(?: in (?:(?:maximal|greatest|maximum|its) )?(?:diameter|size|length|dimension|extent"
    r"|thickness))?(?:,(?=\s(?:in|at|on|within|near)\b))?",
    _I,
)
# What is denied or called normal is so only together with what was blacked out behind it.
_DENIED = re.compile(
    r"\b(?:no|not|without|nor|neither|never|none|negative|free of|absen(?:ce|t)|lack of|denies|clear|normal"
    r"|unremarkable|intact)\b",
    _I,
)
_DENIAL_ENDS = re.compile(
    r"\b(?:but|although|though|however|with|there (?:is|are)|and (?:the|an?|mild|moderate|small))\b", _I
)
_LAST_PLACE = re.compile(
    rf"\s(?:at|in|within|overlying|near|along|over|involving|for|by|on)(?: the| a)?(?: [\w-]+){{0,2}} {BLANK}$", _I
)
# "Most XXXX representing" was "most likely representing".
_MOST_LIKELY = re.compile(
    rf"\s(?:most|more|very) {BLANK}\s(?=represent|reflect|related|secondary|due|suggest|consistent)", _I
)
# Before these words the blank was a noun or a verb of its own, and the sentence would limp without it.
_LIMPS_BEFORE = frozenset(
    """of and or is are was were be been in on the to with at for by from has have as that than which may can could
    normal clear intact unremarkable stable appear appears remain remains seen noted within without but there overlying
    otherwise demonstrate demonstrates overlies overlie overlying projects project terminates measures courses extends
    consistent compatible suggests suggest suggestive shows show may
    lobe cell showed demonstrated revealed had cm mm centimeters millimeters centimeter millimeter x""".split()  # noqa: SIM905
)
_GOES_AFTER = frozenset(
    """a an the no any some is are was with without and or of in from there mild moderate small large minimal probable
    possible multiple few several scattered patchy streaky bilateral left right focal""".split()  # noqa: SIM905
)
_GOES_BEFORE = frozenset("represent represents representing reflect reflects reflecting secondary due related".split())  # noqa: SIM905

# A blank between an adjective and one of these was another adjective: "left basilar XXXX opacity".
_NOUNS = re.compile(
    r"^(?:opacit(?:y|ies)|densit(?:y|ies)|fractures?|deformit(?:y|ies)|generators?|catheters?|scarring|effusions?"
    r"|nodules?"
    r"|edema|position|infiltrates?|pacemakers?|icd\S*|granulomas?)$",
    _I,
)
_ADJECTIVE = re.compile(
    r"^(?:\w*(?:[^e]al|ar|ic|ed|ate|ous|ive|chy|aky|dular)|dual|single|lower|upper|mid|mild|stable|small|both)$",
    _I,
)
# What hangs on a sentence and can go with its blank: ", XXXX atelectasis", "most XXXX pneumonia", "which XXXX edema".
_TAIL = re.compile(
    rf"(?:,\s|\s(?=(?:most|which|that|with|without|as|and|representing|suggesting|consistent|compatible|due"
    rf"|secondary)\s))"
    rf"(?:(?!,\s|{BLANK}).)*{BLANK}.*$",
    _I,
)
# "Lungs are clear, except for XXXX" does not say that the lungs are clear.
_TAKES_BACK = re.compile(r"\b(?:except|excepting|other|aside|apart|besides|but|however|though|although|if|or)\b", _I)
# "Pneumonia seen on ___, is not seen": without its tail, it would be.
_NOT_THERE = re.compile(
    r"\b(?:(?:is|are|was|were|has|have) (?:been )?(?:not|no|excluded)|resolved|absent|no longer)\b", _I
)
_STANDS = 3
_HANGS = re.compile(
    r"^(?:if|in addition|given|although|when|because|for|on|in)\b|\bhowever\b|\b(?:most|less|more)$", _I
)

# "Lungs are hyperexpanded" may end in an adjective, "there are calcified left hilar" may not.
_VERB = re.compile(r"^(?!there\b).*\b(?:is|are|was|were|remains?|appears?)\b", _I)

_MISFIT = re.compile(r"a [aeio]|an [^\Waeiou]", _I)
_WANTS_NOUN = frozenset("pulmonary costophrenic aortic hilar mediastinal cardiac bony osseous soft lymph both".split())  # noqa: SIM905


def without_blanks(sentence: str) -> str:
    """Cut the blanks of a sentence.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        The sentence without them, or the empty string where it would not read.
    """
    shorter = _AGE.sub("", _DATED.sub("", _MOST_LIKELY.sub(" ", _XRAY.sub("", sentence))))
    measured = _MEASURED.search(shorter)
    if measured and not _is_denied(shorter[: measured.start()]):
        shorter = _MEASURED.sub("", shorter)
    place = _LAST_PLACE.search(shorter)
    if place and not _is_denied(shorter[: place.start()]):
        shorter = shorter[: place.start()]
    while blank := _ANY_BLANK.search(shorter):
        before, after = shorter[: blank.start()].split(), shorter[blank.end() :].split()
        if not _can_go(before, after):
            return _without_tail(shorter)
        if before and _MISFIT.match(f"{before[-1]} {after[0]}"):  # "a XXXX opacity" had another word behind its article
            before = before[:-1]
        shorter = " ".join(before + after)
    return shorter


def _without_tail(sentence: str) -> str:
    """Cut the clause that holds the first blank that cannot go, and all behind it."""
    tail = _TAIL.search(sentence)
    head = sentence[: tail.start()].strip(" ,") if tail else ""
    if (
        not tail
        or (_TAKES_BACK.search(tail[0]) and _is_denied(head))
        or _NOT_THERE.search(tail[0])
        or len(head.split()) < _STANDS
        or _ANY_BLANK.search(head)
        or _HANGS.search(head)
    ):
        return ""
    return "" if _ADJECTIVE.match(head.split()[-1]) and not _VERB.search(head) else head


def _can_go(before: list[str], after: list[str]) -> bool:
    """Tell whether a blank merely qualified the word after it."""
    if not after or _is_denied(" ".join(before)):
        return False
    following = after[0].lower().strip(".,;:")
    if _ANY_BLANK.match(after[0]):
        # A row of blanks stands or falls with its last one.
        return True
    if not following[:1].isalpha() or following in _LIMPS_BEFORE:
        return False
    if not before or before[-1].lower() in _GOES_AFTER:
        return True
    if _NOUNS.match(following) and _ADJECTIVE.match(before[-1]):
        return True
    return following in _GOES_BEFORE and before[-1].lower() not in _WANTS_NOUN


def _is_denied(before: str) -> bool:
    """Tell whether what stands before a blank denies what the blank belonged to."""
    return _DENIED.search(_DENIAL_ENDS.split(before)[-1]) is not None
