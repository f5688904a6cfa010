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
    r"|known|residual|remaining|recurrent|increas(?:ing|ed)|worsen(?:ing|ed)|improv(?:ing|ed)|decreas(?:ing|ed)"
    r"|enlarging|developing|progressive|"
    r"mildly|moderately|markedly|slightly|\d[\d.]*)"
)
"""Words that begin a new finding: after a comma they end a negation ("no pneumothorax, small effusion")."""


class Certainty(StrEnum):
    """What a sentence says about a finding that it names; a whole report may also not name it."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"


_DEGREE = (
    r"(?:significant |interval |appreciable |substantial |major |short |definite |clear |real |further "
    r"|evidence of |signs? of )*"
)
_COURSE = r"(?:changes?|increase|decrease|difference|worsening|improvement|progression|resolution|clearing)"
_MANNER = r"(?:significantly |appreciably |substantially |much |greatly |definitely |clearly |well |convincingly )*"
_SEEN = (
    r"(?:seen|identified|present|evident|visuali[sz]ed|appreciated|detected|demonstrated|observed|noted|apparent"
    r"|visible|shown|found|recogni[sz]ed|"
    r"suggested|confirmed)"
)

_SHOW = (
    r"(?:show|see|reveal|demonstrate|identify|find|detect|suggest|indicate|exhibit|display|appreciate|visuali[sz]e"
    r"|confirm|contain|have|observe|note)(?:ing)?"
)
_SHOWS_NOT = (
    r"(?:(?:(?:do|does|did|could|can) ?not|(?:do|does|did|could|ca|have|has)n't|fail(?:s|ed|ing)? to"
    r"|nothing(?: \w+)? to"
    rf"|not) (?:\w+ly )?{_SHOW}(?: any\b| an?\b)?)"
)
"""A verb of showing with the negation that stands on it: it does not close the negation, it is one."""
_NONE_SHOWS = (
    r"(?:no|neither|none of the) (?:\w+ )?(?:lungs?|films?|images?|views?|radiographs?|sides?|lobes?|ribs?"
    r"|stud(?:y|ies)|projections?|hemithorax) (?:shows?|demonstrates?|reveals?|contains?|has|have|exhibits?|displays?)"
)

# Order matters: what only looks like negation is eaten first, and doubt ("cannot exclude") before the "not" in it.
_BEFORE = re.compile(
    rf"\b(?:(?P<pseudo>(?:no|without|{_SHOWS_NOT}) {_DEGREE}{_COURSE}\b(?: (?:in|of|to))?"
    rf"|not {_MANNER}(?:changed|increased|decreased|worsened|improved|progressed)|not only"
    r"|no doubt|less likely than"
    r"|(?:has|have|had|is|are|was|were)(?: \w+){0,2} (?:resolved|removed|cleared)"
    # A value, not a cue: "Effusion: no, oedema: yes".
    r"|(?:no|absent|negative|removed|resolved)(?= ?[,:}]))"
    r"|(?P<choice>differential(?: diagnosis| considerations?)?(?: is \w+ and)?(?: (?:includes?|including))?)"
    r"|(?P<doubt>(?:can ?not|could not|not|unable to|difficult to|hard to)(?: \w+)? (?:exclude|rule out)|not excluded"
    r"|possib(?:le|ly|ility of)|questionabl[ey]|question(?: of)?|equivocal|suspected|suspici(?:ous|on) (?:of|for)"
    r"|(?:may|might|could)(?: \w+)? (?:represent|reflect|be|indicate|suggest|obscure|hide|mask)"
    r"(?: (?:due|secondary|related) to| (?:compatible|consistent|in keeping) with)?"
    r"|concern(?:ing|ed)? (?:for|of)|worrisome for|(?:evaluate|assess|evaluation|assessment|eval|look|query)(?: for)?"
    r"|to exclude|exclude|rule out|r/o|versus|vs|borderline|if there is|whether there is)"
    rf"|(?P<weighed>(?:favou?r\w*|prefer\w*)(?: \w+){{0,5}}? over|more likely(?: \w+){{0,5}}? than)"
    rf"|(?P<none>{_SHOWS_NOT}|{_NONE_SHOWS}|nothing suggestive of)"
    r"|(?P<verbal>not|never|nor|(?:does|do|did|is|are|was|were|has|have)n't)"
    r"|(?P<past>history of|h/o)"
    r"|(?P<absent>no|without|w/o|neither|neg(?:ative)? for|free (?:of|from)|clear of|absence of|absent"
    r"|lack of|resolution of"
    r"|(?<!ly )(?<!almost )resolved|clearing of|removal of|removed|removing"
    r"|unlikely|less likely|rather than|instead of))\b"
)
_NOT_BEFORE = (
    r"(?! (?:\w+ )?(?:on|in|at|from|by) (?:\w+ ){0,2}?(?:prior|previous|earlier|old|older|last|comparison|preceding)\b"
    r"| (?:previously|before|earlier)\b)"
)
"""What was not seen on the film before is what is new on this one."""
_AFTER = re.compile(
    r"(?P<doubt>(?:should|must|needs? to|has to|to)(?: also| still)? be (?:excluded|ruled out|considered)"
    r"|\b(?:is|are|remains?)(?: also)? (?:in|on|within|part of|among|included in) (?:the|its) (?:\w+ )?differential"
    r"|(?:(?:is|are|was|were) )?(?:can ?not|could not|not)(?: be| entirely| completely| fully| reliably)*"
    r" (?:excluded|ruled out)|^,?(?: \w+)?,? if (?:any|present|real|at all)\b"
    r"|\b(?:may|might|could) be (?:present|obscured"
    r"|hidden|masked|missed)"
    r"|(?:(?:is|are) )?(?:difficult|hard) to(?: \w+)? exclude|^ (?:versus|vs|suspected)\b|\?"
    r"|\b(?:is|are|remains?) (?:also )?(?:possible|suspected|questioned|questionable|equivocal|uncertain"
    r"|a consideration))"
    rf"|(?P<absent>(?:\b(?:is|are|was|were|has|have|had|may|might|could)(?: been)? )?"
    rf"(?:not|no longer) {_MANNER}(?:be )?{_SEEN}{_NOT_BEFORE}"
    r"|\b(?:(?:is|are|was|were|has|have|had)(?: been| now| since| completely| fully| entirely| both| all| also)* )?"
    r"(?<!partially )(?<!partly )(?<!nearly )(?<!largely )(?<!mostly )(?<!almost )(?<!incompletely )"
    r"(?:resolved|cleared|disappeared|removed|withdrawn|explanted|absent|excluded|ruled out"
    r"|(?:felt |considered |thought |much |far )*(?:unlikely|less likely|not likely))\b"
    r"|\b(?:is|are|appears?|remains?) (?:with)?in (?:the )?(?:normal (?:limits|range)"
    r"|limits of normal)\b"
    rf"|^ ?[:=] ?(?:none|no(?! {_DEGREE}{_COURSE})"
    r"|absent|negative|false|nil)\b"
    r"|^ ?[:=,]? ?(?:none|nil|no|absent|negative|false|n|0)(?= ?(?:$|[,;:)}!?]|\.(?!\d))))"
)
_CLOSED = re.compile(
    r"\b(?:but|however|although|though|yet|except|aside from|apart from|other than|besides|whereas|while|despite"
    r"|secondary to|due to|"
    r"is|are|was|were|shows?|remains?|persists?|there(?: has| have)|now)\b|:"
)
_OTHER_SUBJECT = (
    r"(?:right|left|bilateral(?:ly)?|both|bi ?(?:basilar|basal|apical)|retrocardiac|hearts?|cardiac silhouette|lungs?"
    r"|old|healed|healing|chronic|endotracheal|et tube|ett|ng|nasogastric|enteric|feeding tube|chest tube"
    r"|tracheostomy|central (?:venous )?line"
    r"|picc|port|pacemaker|icd|swan|status post)"
)
"""Words that begin a new finding after a comma alone; an "or" further on still makes a list of both."""
_NEW_ITEM = re.compile(rf"(?:,|\band|\bwith) (?:and )?(?:a|an|the|{SIZES})\b|, (?:and )?{_OTHER_SUBJECT}\b")
_OWN_PREDICATE = re.compile(
    r" (?:(?:is|are|has|have|remains?|persists?|continues?|appears?)\b"
    rf"(?! (?:been |also |again |now )*(?:{_SEEN}|not)\b)"
    r"|(?:in|on|at) (?:the )?(?:right|left)\b|in place\b)"
)
_PAST_ENDS = re.compile(r"\bwith\b|\bpresent(?:s|ing)\b")
_NEW_PHRASE = re.compile(r",|\b(?:and|with)\b")
_DOUBTS = ("doubt", "choice")
_LISTS = ("absent", "none", "choice", "past")
_OR = re.compile(r"\b(?:or|nor)\b")
_PREDICATE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|with|there|shows?|remains?|persists?|and a|but|although|though|may|might"
    r"|could)\b"
)
# What was taken out, what only looks like a finding, and what the reader himself calls an appearance. One of these
# words stands in each, and is looked for first: most sentences hold none of them.
_DISCLAIMING = re.compile(r"removal|mimic|simulat|masquerad|apparent |proved|proven|turned out")
_TAKEN_OUT_BEFORE = re.compile(r"\b(?:after|post|following|s/p)(?: (?!with\b|and\b|or\b)[\w/]+){0,4} $")
_TAKEN_OUT = re.compile(r" (?:\w+ )?removal\b")
_LIKE = re.compile(
    r"(?P<doubt>\b(?:may|might|could|can) )?\b(?:mimic(?:s|king|ked)?|simulat(?:e|es|ing|ed)|masquerad(?:es|ing) as)"
    r"(?: (?!with\b|and\b|but\b)\w+){0,4} $"
)
_APPARENT = re.compile(r"\bapparent(?: (?!with\b|and\b)\w+){0,3} $")
_OF_THE_TECHNIQUE = re.compile(
    r"[^,;]*\b(?:(?:due|secondary|related|owing|attribut\w+) to|(?:accentuated|exaggerated) by|because of|from"
    r"|reflects?)\b[^;]*\b(?:techni\w+|rotat\w+|project\w+|ap|portable|position\w*|magnif\w+|artifact\w*|overl\w+"
    r"|skin ?folds?|volumes?|inspiration|expiration|film|lordotic)\b"
)
_PROVED = re.compile(
    r"(?: \w+){0,5}? (?:proved|proven|turned out) to (?:be|represent) (?:\w+ ){0,3}(?:nipples?|skin ?folds?|artifact\w*"
    r"|summation|overl\w+|superimpos\w+|external|vessels?|shadows?)\b"
)
_NOT_INSIDE = re.compile(r"\b(?:not|no longer|non|no|\w+n't)\b")
_TURN = re.compile(r",? (?:but|although|though|yet|however)(?:,? (?:it|this|they))?(?= )")
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
    after = _disclaimed(sentence, start, end) or _judged_after(sentence[end:])
    if after is not None:
        return after
    verdict = Certainty.PRESENT
    for cue in _BEFORE.finditer(sentence, 0, start):
        if cue.lastgroup != "pseudo" and _reaches(sentence, cue, start, end):
            verdict = Certainty.UNCERTAIN if cue.lastgroup in _DOUBTS else Certainty.ABSENT
    return verdict


def _disclaimed(sentence: str, start: int, end: int) -> Certainty | None:
    """Reads what takes a mention back: it was taken out, only looks so, or is owed to how the film was taken."""
    if not _DISCLAIMING.search(sentence):
        return None
    before = sentence[:start]
    if _TAKEN_OUT.match(sentence, end) and _TAKEN_OUT_BEFORE.search(before):
        return Certainty.ABSENT
    like = _LIKE.search(before)
    if like:
        return Certainty.UNCERTAIN if like["doubt"] else Certainty.ABSENT
    if _PROVED.match(sentence, end):
        return Certainty.ABSENT
    apparent = _APPARENT.search(before) and _OF_THE_TECHNIQUE.match(sentence, end)
    return Certainty.UNCERTAIN if apparent else None


def open_cue(sentence: str) -> str:
    """Finds what still governs the words after the end of a stretch of text.

    Args:
        sentence: Words in lower case, hyphens replaced by spaces.

    Returns:
        The cue and a space, such as "no "; empty where there is none.
    """
    end = len(sentence)
    open_ones = [
        cue.group() + " "
        for cue in _BEFORE.finditer(sentence)
        if cue.lastgroup != "pseudo" and _reaches(sentence, cue, end, end)
    ]
    return open_ones[-1] if open_ones else ""


def _reaches(sentence: str, cue: re.Match[str], start: int, end: int) -> bool:
    """Says whether a cue before a mention still governs it."""
    gap = sentence[cue.end() : start]
    if _CLOSED.search(gap) or (cue.lastgroup == "past" and _PAST_ENDS.search(gap)):
        return False
    # "No" and "differential" govern a whole list; a negated verb and a doubt govern one phrase, unless an "or" holds
    # the list together. What begins a new item may be the mention itself ("heart is enlarged").
    boundary = _NEW_ITEM if cue.lastgroup in _LISTS else _NEW_PHRASE
    broken = boundary.search(sentence, cue.end(), end)
    if broken is None or broken.start() >= start:
        own = re.search(r",|\band\b", gap) and _OWN_PREDICATE.match(sentence, end)
        return not own or _held(sentence, cue.end() + gap.rfind(","))
    return _held(sentence, broken.start())


def ends_a_list(rest: str) -> bool:
    """Says whether an "or" in what follows holds a list together, before another verb begins.

    Args:
        rest: Words in lower case.
    """
    return _held(rest, 0)


def _held(sentence: str, start: int) -> bool:
    """Says whether an "or" from here on holds a list together, before another verb begins."""
    joint = _OR.search(sentence, start)
    return joint is not None and not _CLOSED.search(sentence, start, joint.start())


def _judged_after(rest: str) -> Certainty | None:
    """Reads the verdict that follows a mention ("has resolved"), or None; of two, the later one stands."""
    cue = _AFTER.search(rest)
    if cue is None:
        return None
    between = rest[: cue.start()]
    # "Left effusion, pneumothorax has resolved": the verb is the last item's, unless "and" makes one subject of all.
    other_subject = "," in between and not re.search(r"\b(?:and|or|which)\b", between)
    if _PREDICATE.search(between) or other_subject:
        return None
    turn = _TURN.match(rest, cue.end())
    later = turn and _AFTER.match(rest[turn.end() :].lstrip())
    if later:
        cue = later
    return Certainty.UNCERTAIN if cue.lastgroup == "doubt" else Certainty.ABSENT
