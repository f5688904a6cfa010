"""A sentence enters, its clauses leave, each with the word that joins it to the one before: what is cut apart.

"There is no effusion, and heart size is unchanged" makes two statements, and only the second needs another study. The
cut is made only where both sides stand by themselves, so that a denial is never parted from what it denies.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_JOINT = re.compile(r"(?P<joint>,? (?:and|but|while|whereas) )(?=\S)", _I)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|remains?|appears?)\b", _I)
_OPENS = re.compile(r"^(?:no|there (?:is|are|has|have)|without)\b", _I)
_STANDS_ALONE = re.compile(r"^(?:no|there (?:is|are|has|have)|the)\b", _I)
# What speaks of the clause before falls with it.
_POINTS_BACK = re.compile(
    r"^(?:it|its|this|these|those|they|their|that|which|is|are|was|were|has|have|may|not"
    r"|the (?:other|others|remainder|rest|former|latter))\b",
    _I,
)
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
    if _CONDITION.match(before) or _POINTS_BACK.match(after):
        return False
    if not (_VERB.search(before) or _OPENS.match(before)):
        return False
    if joint.lower() == " and " and not _STANDS_ALONE.match(after):
        return False
    if not _VERB.search(after) and not after.lower().startswith("no "):
        return False
    # "No consolidation, and pleural effusion is seen" may deny the effusion too.
    return not (_DENIES.search(before) and _ONLY_SEEN.search(after) and not _STANDS_ALONE.match(after))
