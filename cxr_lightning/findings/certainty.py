"""How sure a report is of what it names: present, absent, or left open.

Enters one sentence in lower case and the span of a mention in it; leaves a `Certainty`. The method is that of NegEx
(Chapman et al. 2001) and of the CheXpert labeler (Irvin et al. 2019): cue words open a scope, other words close it,
and some cues ("no change in") only look like negation. Rules, not a network, so that every verdict can be traced to a
word, and a corpus of millions is read in minutes.
"""

from __future__ import annotations

import re
from enum import StrEnum

SIZES = (
    r"(?:tiny|trace|minimal|small|moderate|large|mild|slight|severe|marked|subtle|new|stable|unchanged|persistent"
    r"|known|"
    r"mildly|moderately|markedly|slightly|\d[\d.]*)"
)
"""Words that begin a new finding: after a comma they end a negation ("no pneumothorax, small effusion")."""


class Certainty(StrEnum):
    """What a sentence says about a finding that it names; a whole report may also not name it."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"


_DEGREE = r"(?:significant |interval |appreciable |substantial |major |short |definite |clear |real |further )*"
_MANNER = r"(?:significantly |appreciably |substantially |much |greatly |definitely |clearly |well |convincingly )*"
_SEEN = (
    r"(?:seen|identified|present|evident|visuali[sz]ed|appreciated|detected|demonstrated|observed|noted|apparent"
    r"|visible|shown|found|recogni[sz]ed|"
    r"suggested|confirmed)"
)

# Order matters: what only looks like negation is eaten first, and doubt ("cannot exclude") before the "not" in it.
_BEFORE = re.compile(
    rf"\b(?:(?P<pseudo>(?:no|without) {_DEGREE}(?:changes?|increase|decrease|difference|worsening|improvement"
    rf"|progression)\b(?: (?:in|of|to))?"
    rf"|not {_MANNER}(?:changed|increased|decreased|worsened|improved|progressed)|not only"
    r"|no doubt)"
    r"|(?P<choice>differential(?: diagnosis| considerations?)?(?: is \w+ and)?(?: (?:includes?|including))?)"
    r"|(?P<doubt>(?:can ?not|could not|not|unable to|difficult to|hard to)(?: \w+)? (?:exclude|rule out)|not excluded"
    r"|possib(?:le|ly|ility of)|questionabl[ey]|question(?: of)?|equivocal|suspected|suspici(?:ous|on) (?:of|for)"
    r"|(?:may|might|could)(?: \w+)? (?:represent|reflect|be|indicate|suggest|obscure|hide|mask)"
    r"(?: (?:due|secondary|related) to)?"
    r"|concern(?:ing|ed)? (?:for|of)|worrisome for|(?:evaluate|assess|evaluation|assessment|look|query)(?: for)?"
    r"|to exclude|exclude|rule out|r/o|versus|vs|borderline|if there is|whether there is)"
    r"|(?P<verbal>not|never|nor|doesn't|isn't|aren't)"
    r"|(?P<absent>no|without|neither|negative for|free (?:of|from)|clear of|absence of|absent|lack of|resolution of"
    r"|(?<!ly )(?<!almost )resolved|clearing of|removal of|removed|removing|history of|h/o"
    r"|unlikely|less likely|rather than|instead of))\b"
)
_AFTER = re.compile(
    r"(?P<doubt>(?:(?:is|are|was|were) )?(?:can ?not|could not|not)(?: be| entirely| completely| fully| reliably)*"
    r" (?:excluded|ruled out)|^,?(?: \w+)?,? if any\b|\b(?:may|might|could) be (?:present|obscured"
    r"|hidden|masked|missed)"
    r"|(?:(?:is|are) )?(?:difficult|hard) to(?: \w+)? exclude|^ (?:versus|vs|suspected)\b|\?"
    r"|\b(?:is|are|remains?) (?:also )?(?:possible|suspected|questioned|questionable|equivocal|uncertain"
    r"|a consideration))"
    rf"|(?P<absent>(?:\b(?:is|are|was|were|has|have|had|may|might|could)(?: been)? )?"
    rf"(?:not|no longer) {_MANNER}(?:be )?{_SEEN}"
    r"|\b(?:(?:is|are|was|were|has|have|had)(?: been| now| since| completely| fully| entirely| both| all| also)* )?"
    r"(?<!partially )(?<!partly )(?<!nearly )(?<!largely )(?<!mostly )(?<!almost )(?<!incompletely )"
    r"(?:resolved|cleared|disappeared|removed|withdrawn|explanted|absent|excluded|ruled out|unlikely)\b"
    r"|\b(?:is|are|appears?|remains?) (?:with)?in (?:the )?(?:normal (?:limits|range)"
    r"|limits of normal)\b"
    r"|^ ?: ?(?:none|no|absent|negative)\b)"
)
_CLOSED = re.compile(
    r"\b(?:but|however|although|though|yet|except|aside from|apart from|other than|besides|whereas|while|despite"
    r"|secondary to|due to|"
    r"is|are|was|were|shows?|remains?|persists?|there(?: has| have)|now)\b|:"
)
_NEW_ITEM = re.compile(rf"(?:,|\band|\bwith) (?:and )?(?:a|an|the|{SIZES})\b")
_NEW_PHRASE = re.compile(r",|\b(?:and|with)\b")
_DOUBTS = ("doubt", "choice")
_LISTS = ("absent", "choice")
_OR = re.compile(r"\b(?:or|nor)\b")
_PREDICATE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|with|there|shows?|remains?|persists?|and a|but|although|though|may|might"
    r"|could)\b"
)
_NOT_INSIDE = re.compile(r"\b(?:not|no longer|no)\b")
_DOUBT_INSIDE = re.compile(r"\b(?:borderline|upper limits?|top normal)\b")


def certainty(sentence: str, start: int, end: int) -> Certainty:
    """Judges the mention at `sentence[start:end]`.

    Args:
        sentence: One sentence in lower case, hyphens replaced by spaces.
        start: Where the mention begins.
        end: Where it ends.

    Returns:
        ABSENT when negated, resolved or removed; UNCERTAIN when hedged so that a reader could not act on it
        ("cannot exclude", "possible"); PRESENT otherwise, which includes "probable" and "likely".
    """
    if _NOT_INSIDE.search(sentence, start, end):
        return Certainty.ABSENT
    if _DOUBT_INSIDE.search(sentence, start, end):
        return Certainty.UNCERTAIN
    after = _judged_after(sentence[end:])
    if after is not None:
        return after
    verdict = Certainty.PRESENT
    for cue in _BEFORE.finditer(sentence, 0, start):
        if cue.lastgroup != "pseudo" and _reaches(sentence, cue, start):
            verdict = Certainty.UNCERTAIN if cue.lastgroup in _DOUBTS else Certainty.ABSENT
    return verdict


def _reaches(sentence: str, cue: re.Match[str], start: int) -> bool:
    """Says whether a cue before a mention still governs it."""
    gap = sentence[cue.end() : start]
    if _CLOSED.search(gap):
        return False
    # "No" and "differential" govern a whole list; a negated verb and a doubt govern one phrase, unless an "or" holds
    # the list together.
    boundary = _NEW_ITEM if cue.lastgroup in _LISTS else _NEW_PHRASE
    broken = boundary.search(gap)
    return broken is None or _OR.search(sentence, cue.end() + broken.start()) is not None


def _judged_after(rest: str) -> Certainty | None:
    """Reads the verdict that follows a mention ("has resolved"), or None."""
    cue = _AFTER.search(rest)
    if cue is None:
        return None
    between = rest[: cue.start()]
    # "Left effusion, pneumothorax has resolved": the verb is the last item's, unless "and" makes one subject of all.
    other_subject = "," in between and not re.search(r"\b(?:and|or|which)\b", between)
    if _PREDICATE.search(between) or other_subject:
        return None
    return Certainty.UNCERTAIN if cue.lastgroup == "doubt" else Certainty.ABSENT
