"""A sentence enters, its clauses leave, each with the word that joins it to the one before: what is cut apart.

"There is no effusion, and heart size is unchanged" makes two statements, and only the second needs another study. The
cut is made only where both sides stand by themselves, so that a denial is never parted from what it denies.
"""

from __future__ import annotations

import re

from cxr_lightning.findings.mentions import find_mentions

_I = re.IGNORECASE
_JOINT = re.compile(
    r"(?P<joint>,? (?:and|but|while|whereas|though|although|except for|aside from|other than) |, )(?=\S)", _I
)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|remains?|appears?|persists?)\b", _I)
_CHANGED = re.compile(
    r"^(?!no\b)[\w -]{3,60}? (?:has|have|is|are) (?:\w+ly )?(?:worsened|improved|increased|decreased|progressed"
    r"|resolved|cleared|unchanged|stable)\b",
    _I,
)
_MODAL = re.compile(r"\b(?:cannot|can not|may|could) be\b", _I)
_OPENS = re.compile(r"^(?:no|there (?:is|are|has|have)|without)\b", _I)
_STANDS_ALONE = re.compile(r"^(?:no|there (?:is|are|has|have)|the)\b", _I)
# What speaks of the clause before falls with it.
_POINTS_BACK = re.compile(
    r"^(?:it|its|this|these|those|they|their|that|which|is|are|was|were|has|have|may|not|remains?|appears?"
    r"|the (?:other|others|remainder|rest|former|latter))\b",
    _I,
)
# A comma alone parts run-on statements: "tubes unchanged, lungs clear", "... has grown, there is a shift".
_RUN_ON = re.compile(
    r"^(?:there (?:now )?(?:is|are|has|have)"
    r"|(?:the|no|left|right) [^,]*? (?:is|are|has|have|remains?|appears?|persists?)"
    r"|it is)\b",
    _I,
)
_ENDS_IN_CHANGE = re.compile(
    r"\b(?:unchanged|stable|increased|decreased|improved|worsened|resolved|removed|persists?|larger|smaller)"
    r"(?: in (?:position|size|appearance|extent))?$",
    _I,
)
_NO_CHANGE = re.compile(r"\bno (?:[\w-]+ ){0,3}?changes?$|^(?:grossly |otherwise )?(?:stable|unchanged) [\w ]+$", _I)
_WENT = re.compile(r"\b(?:remov|extubat|withdraw|resol|clear|absen)\w*", _I)
_STILL_THERE = re.compile(r"^there (?:is|are)\b|\b(?:remains?|persists?)\b", _I)
_HOW_IT_IS = re.compile(r"^no \w+|\b(?:clear|normal|intact|unremarkable|enlarged|in place)$", _I)
_CONDITION = re.compile(r"^(?:if|although|though|when|because|given|while|whether)\b", _I)
_DENIES = re.compile(r"\b(?:no|not|without|nor|neither|negative|never)\b", _I)
_ONLY_SEEN = re.compile(
    r"\b(?:seen|present|identified|noted|visuali[sz]ed|evident|demonstrated|appreciated|found)$", _I
)


def split_clauses(sentence: str) -> list[tuple[str, str]]:
    """Split a sentence where both sides are statements of their own.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        Pairs of the joint before a clause ("" before the first) and the clause; put together, they are the sentence.
    """
    clauses, joint, start = [], "", 0
    for match in _JOINT.finditer(sentence):
        if _may_part(sentence[start : match.start()], match["joint"], sentence[match.end() :]):
            clauses.append((joint, sentence[start : match.start()]))
            joint, start = match["joint"], match.end()
    clauses.append((joint, sentence[start:]))
    return clauses


def _may_part(before: str, joint: str, after: str) -> bool:
    if _CONDITION.match(before) or _POINTS_BACK.match(after) or after.endswith(" not"):
        return False
    if joint.strip(" ,").lower() in ("except for", "aside from", "other than"):  # "unchanged except for a new opacity"
        named = next(find_mentions(after), None) is not None and not _WENT.search(after)
        return named and bool(_ENDS_IN_CHANGE.search(before) or _NO_CHANGE.search(before))
    if joint.strip(" ,").lower() in ("though", "although") and not _STILL_THERE.search(after):
        return False
    if joint == ", ":
        run_on = _RUN_ON.match(after) and _VERB.search(before) and not _DENIES.search(before)
        return bool(run_on or (_ENDS_IN_CHANGE.search(before) and _HOW_IT_IS.search(after.partition(",")[0])))
    if not (_VERB.search(before) or _OPENS.match(before)):
        return False
    stands = _STANDS_ALONE.match(after) or _CHANGED.search(after)
    if joint.lower() == " and " and not stands:
        return False
    if not (_VERB.search(after) or _MODAL.search(after)) and not after.lower().startswith("no "):
        return False
    # "No consolidation, and pleural effusion is seen" may deny the effusion too.
    return not (_DENIES.search(before) and _ONLY_SEEN.search(after) and not _STANDS_ALONE.match(after))


_SIDES = r"(?:left|right)(?:[- ]sided)?(?: one)?"
_OTHER_OF_A_PAIR = re.compile(
    rf"^(?:and )?(?P<side>(?:that on )?the {_SIDES}) (?=(?:one )?(?:is|has|remains?|appears?|persists)\b)", _I
)
_OF_A_PAIR = re.compile(
    r"\b(?:left|right)(?:[- ]sided)? (?:\w+ )?(?P<noun>effusion|pneumothorax|opacity|consolidation|nodule|mass"
    r"|atelectasis"
    r"|hydropneumothorax|lung|hilum|hemidiaphragm|base|apex)\b",
    _I,
)


def name_the_other(before: str, clause: str) -> str:
    """Say of what the other side is spoken: "the right effusion is new; the left is unchanged".

    Args:
        before: The statement before.
        clause: A statement that may name a side alone.

    Returns:
        The clause with the noun that it leaves out, where the statement before has one of that noun and no more.
    """
    other = _OTHER_OF_A_PAIR.match(clause)
    nouns = {noun["noun"].lower() for noun in _OF_A_PAIR.finditer(before)} if other else set()
    if other is None or len(nouns) != 1:
        return clause
    side = other["side"].removesuffix(" one")
    return f"{side} {nouns.pop()} {clause[other.end() :]}"
