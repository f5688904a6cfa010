"""A sentence enters, it leaves without what is said aside of an earlier picture: how it opens, and what it brackets.

"AP chest compared to ___: large effusion", "a nodule, not seen on ___, measures 8 mm", "tip at 2 cm, previously 5 cm".
An aside goes whole or not at all: without its date, "a nodule, not seen, measures 8 mm" denies what it states.
"""

from __future__ import annotations

import re

from cxr_lightning.reports.blanks import BLANK
from cxr_lightning.reports.earlier import (
    CHANGED,
    EARLIER,
    HOW,
    IN_SIZE,
    NOTABLE,
    OTHER_SIDE,
    PICTURE,
    SEEN_WORD,
    any_of,
    may_need_another,
    pattern,
)

_VIEW = any_of(
    rf"""a|an|the|this|single|one|two|three|pa|ap|frontal|lateral|upright|supine|erect|semi-?upright|semi-?erect
    portable|bedside|standard|chest|and|views?|of|{PICTURE}|is|are|was|were|made|as|when"""
)
# "PA and lateral chest compared to ___ and ___: ...", "AP chest reviewed in the absence of prior radiographs: ...".
_TITLE = pattern(
    rf"^(?:{_VIEW}[\s,/&]+)*(?:compar(?:ed|ison)(?: is made| was made)? (?:to|with)|(?:reviewed )?in (?:comparison"
    rf"|the absence)"
    r"|reviewed (?:in|with|without))\b[^:]{0,120}(?::\d\d[^:]{0,60}){0,3}:\s+(?=\S)"
)
# What was done since: "after thoracentesis, the effusion has decreased".
_EVENT = (
    r"(?:[\w-]+ ){0,4}?(?:thoracentesis|removal|withdrawal|extubation|placement|insertion|intubation|drainage|diuresis"
    r"|bronchoscopy|repositioning|advancement|exchange|clamping)\b(?:(?!\b(?:there|is|are|has|have|no|with)\b)[^,])*"
)
# A comparison that opens a sentence, up to its comma: "As compared to the previous radiograph, there is ...".
_OPENING = pattern(
    rf"^(?:(?:as |when |in |by |with )?(?:compared|comparison){OTHER_SIDE}\b[^,]*(?:,\s*(?:{BLANK}"
    rf"|and\s+{BLANK})[^,]*)*"
    r"|(?:ever )?since [^,]*|in the interval|interval"
    r"|again|once again|as before|(?:unchanged|stable) (?:from|since)[^,]*"
    rf"|no (?:{NOTABLE} )*changes? (?:(?:as |when )?compared|in comparison|since|from)\b[^,]*(?=,\s*(?:no|there)\b)"
    r"|(?:given|considering|with)(?: the)? (?:differences?|changes?|variations?) in [^,]*"
    r"|(?:allowing|accounting) for [^,]*"
    rf"|(?:following|after|despite) {_EVENT}"
    r"|(?:although|though|while|whereas) [^,]*\b(?:unchanged|stable|improved|worsened|increased|decreased|smaller"
    r"|larger|resolved|cleared|removed)\b[^,]*"
    r"|without [^,]*\bchanges?),\s*"
)
_WAS_KNOWN = any_of(
    r"""large|small|moderate|mild|severe|tiny|trace|present|seen|visible|noted|normal|absent|clear|there|evident"""
)
_BEFORE = rf"(?:before|previously|formerly|yesterday|earlier|{BLANK}|priors?|previous|last)"
_EARLIER_DAY = f"(?:{EARLIER}|before|yesterday)"
_SEEN_THEN = (
    r"(?:(?:not|newly|already|also|as|was|were|first|best|better|barely|clearly|definitely|well)[ -])*"
    rf"(?:{SEEN_WORD}|visible|apparent|evident|there) (?:(?:on|in|at|as of) {EARLIER}|previously|before|yesterday)"
)
_CHANGE = f"(?:{CHANGED}|greater|bigger|wider|better)"
_SINCE = r"(?:as )?(?:since|from|to|than|as|on|in|compared (?:to|with))(?: (?:that )?(?:on|in|at|seen on))?"
_ALL = r"(?:all |both |some )?(?:not )?"
_IT_CHANGED = r"(?:unchanged|changed|stable|new|improved|worsened|increased|decreased|larger|smaller|worse)"
_ASIDE = any_of(
    rf"""(?:which|that) (?:was|were|had been) (?:[^,()]*\b{_BEFORE}(?!\w)[^,()]*|(?:not )?{_WAS_KNOWN})
    (?:which|that) (?:is|are|has|have|appears?)(?: been)? (?:not )?{HOW}{CHANGED}{IN_SIZE}(?: {_SINCE}\b[^,()]*)?
    {_SEEN_THEN}
    {_ALL}{HOW}{_CHANGE}{IN_SIZE} {_SINCE} {_EARLIER_DAY}
    {_ALL}{HOW}{_IT_CHANGED}{IN_SIZE}
    (?:which (?:was|were) )?(?:previously|formerly|originally)\b[^,()]*
    (?:was|were|had been) [^,()]*\b{_BEFORE}
    (?:up|down|increased|decreased|improved) from [^,()]*
    as (?:before|(?:(?:was|were|seen|noted|described) )*(?:on|in) {EARLIER})
    (?:once )?again(?: (?:seen|noted))?
    (?:some|many|most|several|all|both) of which (?:are|have)(?: been)? {HOW}{_IT_CHANGED}\b[^,()]*
    (?:(?:as |when )?compared (?:to|with)|in comparison (?:to|with)|relative to|similar to) {_EARLIER_DAY}
    since (?:{EARLIER}|yesterday)
    as (?:when )?compared (?:to|with) {EARLIER}"""
)
_IN_MIDDLE = pattern(rf",\s+(?P<aside>{_ASIDE})\s*,\s*(?=\S)")
_IN_BRACKETS = pattern(rf"\s*\((?P<aside>{_ASIDE})\)(?=\s*\S)")
# Without commas, where the sentence's own verb follows: "the pneumothorax which was large on ___ is small".
_WHICH_WAS = pattern(
    rf",?\s(?P<aside>(?:which|that) (?:was|were|had been) [^,()]*?\b(?:before|previously|yesterday|{BLANK}"
    rf"|(?:prior|previous|earlier|last)(?: {PICTURE})?)"
    rf"|(?:previously|formerly) measur(?:ing|ed) [^,()]*?),?\s(?=(?:is|are|has|have|now|measures?|appears?|remains?)\b)"
)
# "A nodule was not present on ___ and is 8 mm."
_WAS_NOT = pattern(
    rf",?\s(?P<aside>(?:was|were) not (?:{SEEN_WORD}|visible|there|evident) (?:on|in|at) {EARLIER}),? (?:and|but)"
    r"\s(?=(?:is|are|has|have|now|may|measures?)\b)"
)
# How it was, at a sentence's end: ", previously 5 cm", ", up from moderate", ", which was small".
_AT_END = pattern(
    rf"(?:,\s|\s\((?=[^()]*\)$)|,?\s(?=(?:which|that)\b|(?:(?:as |when )?compared (?:to|with)|previously) \d))"
    r"(?P<aside>(?:(?:which|that) (?:was|were"
    rf"|had been) )?(?:previously|formerly|originally)\b[^,()]*"
    rf"|(?:more|less) so than {_EARLIER_DAY}"
    rf"|(?:some|many|most|several|all|both) of which (?:are|have) (?:[^,]*\b)?{_IT_CHANGED}\b[^,]*"
    r"|(?:as |when )?compared (?:to|with) \d[^,()]*"
    rf"|(?:(?:which|that) (?:is|are) )?(?:up|down) from (?:the )?(?:{EARLIER}|{_WAS_KNOWN}|\d[\w. ]*"
    rf"|moderate[\w -]*|mild[\w -]*)"
    rf"|(?:which|that) (?:was|were|had been) (?:[^,()]*\b{_BEFORE}[^,()]*|(?:not )?{_WAS_KNOWN}))\)?$"
)
_NEWNESS = pattern(r"\b(?:new|newly|larger|bigger|wider|greater|increased|worse\w*|not|more|developed|up from)\b")
_DENIED = pattern(r"\b(?:no|not|without|nor|neither|never|none|absent|free of)\b")
# What goes on with the sentence, and is not the next thing of a list.
_GOES_ON = pattern(
    r"(?:is|are|was|were|has|have|may|might|could|can|likely|probably|now|with|without|in|at|on|of|along|over|within"
    r"|overlying|involving|adjacent|near|and|but|or|due|terminat\w+|ends?|ending|lies|project\w*|measur\w+|rais\w+"
    r"|suggest\w*"
    r"|represent\w*|reflect\w*|extends?|extending|occup\w+|caus\w+|obscur\w+|appears?|remains?|reach\w*|courses?"
    r"|cross\w*"
    r"|contain\w*|demonstrat\w+|shows?|warrants?|requires?)\b"
)


def without_opening(sentence: str) -> str:
    """Cut the comparison that opens a sentence: a title up to its colon, or a clause up to its comma.

    Args:
        sentence: One sentence, without its full stop.
    """
    if not may_need_another(sentence):
        return sentence
    return _OPENING.sub("", _OPENING.sub("", _TITLE.sub("", sentence)))


def without_asides(sentence: str) -> str:
    """Cut what a sentence says aside of an earlier picture.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        The sentence without its asides; empty where a denial is of what was new only, and would grow without it.
    """
    if not may_need_another(sentence):
        return sentence
    for aside in (_IN_MIDDLE, _IN_BRACKETS, _WHICH_WAS, _WAS_NOT, _AT_END):
        while found := aside.search(sentence):
            before, after = sentence[: found.start()], sentence[found.end() :]
            if _NEWNESS.search(found["aside"]) and _DENIED.search(before):
                return ""
            sentence = before + _joint(aside, after) + after
    return sentence


def _joint(aside: re.Pattern[str], after: str) -> str:
    if aside is _IN_BRACKETS or not after:
        return ""
    return " " if aside in (_WHICH_WAS, _WAS_NOT) or _GOES_ON.match(after) else ", "
