"""A sentence about a telephone call enters, the finding that was told in it leaves; nothing, where it names none.

"Large left pneumothorax, discussed with Dr. ___ at 5 PM" is two statements, and only the second is of no use: the most
urgent findings are those that are telephoned. So the call's clause alone is cut, and only where what is left names a
finding or a device and the clause itself takes nothing back ("which Dr. ___ did not see").
"""

from __future__ import annotations

import re

from cxr_lightning.findings.mentions import find_mentions

_I = re.IGNORECASE
_TOLD_THINGS = r"(?:discussed|communicated|telephoned|conveyed|relayed|reported|reviewed|phoned|d/w)"
_TOLD_PERSONS = r"(?:paged|notified|informed|called|alerted)"
_VERB = f"(?:{_TOLD_THINGS}|{_TOLD_PERSONS})"
# Whom the radiologist called, and when.
_CALLED = re.compile(
    r"\b(?:discussed (?:with|by)|communicated|telephoned|paged|notified|informed|conveyed|d/w|reported to"
    r"|w(?:as|ere) called)\b"
    r"|\bdr\.? [a-z_]|\b(?:tele)?phone\b|\bveriphy\b|\bmessage was left\b"
    r"|^critical results?\b|\bmessage (?:was )?sent\b"
    r"|\bpersonally reviewed\b|\b(?:electronically )?signed by\b|\bdictated (?:by|and)\b"
    r"|^end of (?:the )?(?:report|impression)",
    _I,
)
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)")
_COLON = re.compile(r":\s+")
_BEFORE_NAME = re.compile(r"\b(?:with|to|by|at|from|of|dr\.?)$", _I)
_OF_WHAT = re.compile(
    rf"\b{_VERB}\b.*?\b(?:about|regarding|concerning|of|re|that) (?:the |an? )?(?P<what>\S.*)$|"
    rf"^(?:i|we) {_VERB} (?:the |an? )?(?P<object>\S.*?) (?:with|to) (?:the |dr|_).*$",
    _I,
)
# When, how and by whom, behind what was told.
_TOLD_HOW = re.compile(
    r",?\s+(?:(?:at|on|around) (?:approximately )?(?:\d|_|the time)|by (?:tele|phone|dr|the|_"
    r"|[a-z]+ )|via |over the phone|"
    r"(?:immediately|shortly|\d+ minutes?) (?:after|following)|with read-?back|and (?:acknowledged|he|she|they)).*$",
    _I,
)
# Where the clause of a call begins that ends a sentence.
_AUX = r"(?:(?:was|were|is|are|has been|have been|had been|being)(?: \w+ly| also| then| all)* )"
_CALL_STARTS = re.compile(
    rf"(?:[,;]| [-–—])\s*(?=(?:and |which |as |this |these |all |that |findings?|results?|dr\b"
    rf"|the \w+ (?:team|service)\b"
    rf"|{_AUX}?{_VERB}\b))"
    rf"|\s(?:(?:which|that|as|and) )?{_AUX}?(?:personally |verbally |directly |immediately )?{_TOLD_THINGS}\b"
    r"|\s(?:per|and|as per) (?=dr\b)|[,;]?\s(?=message (?:was )?(?:sent|left)\b)",
    _I,
)
_TAKES_BACK = re.compile(
    r"\b(?:no|not|without|absent|exclud\w+|ruled|retract\w*|error\w*|incorrect\w*|mistake\w*|never|den(?:y|ies|ied)"
    r"|disagree\w*|resolved|who|than|instead|rather|doubt\w*)\b",
    _I,
)
# What was talked of, but is not said to be there.
_WISHED = re.compile(
    r"\b(?:needs?|recommend\w*|suggestions?|should|whether|if|plan\w*|option\w*|questions?|exclude"
    r"|rule out|changes? in|request\w*"
    r"|repeat|follow-?up|reposition\w*|advance\w*|withdraw\w*|retract\w*|remov\w*|wants?|history|wet read\w*"
    r"|preliminary|initial (?:read|interpretation)|would|treat\w*)\b",
    _I,
)
# A call that asks tells nothing, whatever its object.
_ASKS = re.compile(
    r"\b(?:asks?|asked|asking|inquir\w+|enquir\w+|clarif\w+|wonder\w*)\b|\bto (?:confirm|discuss whether|see if)\b", _I
)
# Findings that the catalogue of labels has no row for.
_URGENT = re.compile(
    r"\b(?:free (?:intraperitoneal )?air|pneumoperitoneum|pneumomediastinum|embol\w+|aneurysm\w*"
    r"|dissection|shift|abscess"
    r"|adenopathy|lymphadenopathy|metasta\w+|cavit\w+|collapse\w*|main-?(?: ?stem)?(?= (?:intubation|bronch\w+))"
    r"|mainstem|mal-?position\w*|misplaced|kinked|coiled"
    r"|esophag\w+|foreign body|emphysema|hernia\w*)\b",
    _I,
)
_FINDINGS_OF = re.compile(
    r"^(?:(?:these|the|critical) )*(?:findings?|results?),? (?:including|of|such as|are|:) (?:an? |the )?", _I
)
_AND_FINDINGS = re.compile(r",? and (?:(?:these|the|other) )*(?:findings?|results?)$", _I)
_WORDS_KEPT = 2


def without_calls(sentence: str) -> str:
    """Cut whom a sentence says was told, and when.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        The sentence as it is where it tells of no call; else the finding that was told, in the sentence's own words,
        or the empty string where none stands by itself.
    """
    if not _CALLED.search(sentence):
        return sentence
    bare = _IN_BRACKETS.sub(_without_call, sentence)
    if not _CALLED.search(bare):
        return bare
    pieces = (_after_colon(bare), _before_call(bare), _told(bare))
    bared = (_AND_FINDINGS.sub("", _FINDINGS_OF.sub("", piece)).strip(" ,") for piece in pieces)
    return next((piece for piece in bared if _stands(piece)), "")


def _without_call(brackets: re.Match[str]) -> str:
    return "" if _CALLED.search(brackets[0]) and not _TAKES_BACK.search(brackets[0]) else brackets[0]


def _after_colon(sentence: str) -> str:
    colon = _COLON.search(sentence)
    if colon is None or _BEFORE_NAME.search(sentence[: colon.start()]) or not _CALLED.search(sentence[: colon.start()]):
        return ""
    rest = _TOLD_HOW.sub("", sentence[colon.end() :])
    return _before_call(rest) if _CALLED.search(rest) else rest


def _before_call(sentence: str) -> str:
    """Take what stands before the call, where the call's clause ends the sentence and takes nothing back."""
    for start in _CALL_STARTS.finditer(sentence):
        if _CALLED.search(sentence[start.start() :]) and not _CALLED.search(sentence[: start.start()]):
            return "" if _TAKES_BACK.search(sentence[start.start() :]) else sentence[: start.start()]
    return ""


def _told(sentence: str) -> str:
    told = _OF_WHAT.search(sentence)
    if told is None or _ASKS.search(sentence):
        return ""
    what = _TOLD_HOW.sub("", told["what"] or told["object"])
    # "who saw none": what follows a comma may take the finding back.
    rest = what.partition(",")[2]
    return "" if _TAKES_BACK.search(rest) else what


def _stands(piece: str) -> bool:
    """Tell whether what is left of a sentence names a finding, says that it is there, and tells of no call."""
    if len(piece.split()) < _WORDS_KEPT or _CALLED.search(piece) or _WISHED.search(piece):
        return False
    return _URGENT.search(piece) is not None or any(True for _ in find_mentions(piece))
