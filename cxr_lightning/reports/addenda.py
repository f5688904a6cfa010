"""What stands in an addendum enters, what it does to the report leaves: whether it restates a section or corrects one.

Most addenda only say whom was called. Such words must neither replace findings ("FINDINGS: were telephoned to Dr. ___")
nor cast doubt on them; and one that corrects in prose must not pass unseen, for nobody can mend the sections by rule.
"""

from __future__ import annotations

import re

from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.sentences import split_sentences

_CALL = re.compile(
    r"\b(?:discussed|communicated|relayed|telephoned|phoned|paged|notified|informed|conveyed|d/w|reported to|spoke"
    r"|(?:was|were) (?:called|told)|called to|told to|e-?mailed|dashboard|acknowledged|aware of)\b"
    r"|\bdr\b|\b(?:tele)?phone\b|\bveriphy\b|\bmessage\b",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"\b(?:missed|overlooked|omitted|(?:not|never) (?:mentioned|described|reported|noted|included)|should (?:read|say"
    r"|state|be|have)|must read|(?:in)?correct(?:ion|ions|ed|ly)?|erroneous(?:ly)?|in error|errors?|mistaken(?:ly)?"
    r"|mis(?:labell?ed|dictated|stated|typed|identified|read|interpreted)|typ(?:o|ing mistake)|in retrospect"
    r"|retrospectively|revis(?:ed|ion)|amend(?:ed|ment|s)?|wrong(?:ly)?|retract(?:ed)?|discrepan\w+|disregard|replaces?"
    r"|instead of|rather than)\b",
    re.IGNORECASE,
)
_CONFIRMS = re.compile(
    r"\b(?:no (?:\w+ )?(?:correction|error|discrepan|revision|amendment)|(?:is|are|was|were|remains?) correct\b"
    r"|nothing to add)",
    re.IGNORECASE,
)
# Told to somebody or not, this much is said of the film itself.
_SEES = re.compile(
    r"\b(?:there (?:is|are|was|were)|(?:is|are|was|were) (?:also )?(?:seen|noted|present|identified|visible"
    r"|visuali[sz]ed|demonstrated)|re-?review|(?:further|second|additional) (?:review|look))\b",
    re.IGNORECASE,
)


def restates(said: str, *, alone: bool) -> bool:
    """Tell whether an addendum's section is the section said anew, not a sentence that goes on from its name.

    Args:
        said: What stands in the addendum under the section's name.
        alone: Whether the report proper has no section of that name, so that there is nothing better.
    """
    told = [sentence for sentence in split_sentences(said) if not _CALL.search(sentence)]
    return any(alone or clean(sentence) or _speaks(sentence) for sentence in told)


def corrects(addendum: str) -> bool:
    """Tell whether an addendum in prose speaks of findings or of a mistake, and not only of who was told.

    Args:
        addendum: What stands in the addendum, without its own name: "CORRECTED REPORT" says nothing yet.
    """
    return any(_changes(sentence) for sentence in split_sentences(addendum))


def _changes(sentence: str) -> bool:
    if _CONFIRMS.search(sentence):
        return False
    if _CORRECTS.search(sentence):
        return True
    return _speaks(sentence) and (not _CALL.search(sentence) or _SEES.search(sentence) is not None)


def _speaks(sentence: str) -> bool:
    return next(find_mentions(sentence), None) is not None
