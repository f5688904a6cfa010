"""A paragraph that no heading names enters, whether it tells what is seen leaves.

Below an indication stands what the ward asked for, and above the first heading the film's title; taken for findings,
"evaluate for pneumothorax" would state one. So a paragraph tells something only as prose does: with a verb, or with
what a reader in haste puts in its place ("no effusion", "lungs clear"), and not as a request, a question or a patient's
history.
"""

from __future__ import annotations

import re

from cxr_lightning.findings.mentions import find_mentions

_LONGEST = 1000
"""Characters of a paragraph that are looked at: what it is shows at its beginning."""

_LOWER_WORD = re.compile(r"[a-z]{3}")
_ASKS = re.compile(
    r"""^\W*(?:\d+[.)]\s+)?(?:please|pls|kindly|(?:re-?)?eval(?:uate|uation)?\b(?!\s+is\b)|assess(?:ment)?\b|rule\s+out|r/o\b|exclude
      |question(?:able)?\s+(?:of|for)|query|concern(?:ed|ing)?\s+(?:for|about|of)|confirm\b|determine\b|look(?:ing)?\s+for
      |check\s+(?:for|on|the|placement|position)|follow[ -]?up\s+(?:of|for)|(?:for\s+)?interval\s+change\W*$
      |(?:in\s+order\s+)?to\s+(?:evaluate|assess|rule|exclude|check|look|confirm))
    | ^[^.;]*\?\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_HISTORY = re.compile(
    r"""^\W*(?:
      (?:(?:an?|the|this(?:\s+is\s+an?)?)\s+)?(?:\d{1,3}|_{2,}|x{2,})[\s-]*
        (?:years?|yrs?|y\.?/?o|months?|days?|weeks?|[fm]\b|male|female|man|woman)
    | (?:(?:an?|the|this)\s+)?(?:patient|pt|male|female|man|woman|child|infant|neonate)\s+
        (?:with|who|presents?|presenting|status|s/p|complain\w*|admitted|undergoing|is\s+an?\s)
    | status\s+post|s/p\b|h/o\b|history\s+of)""",
    re.IGNORECASE | re.VERBOSE,
)
_VERB = re.compile(
    r"""\b(?:is|are|was|were|be|been|has|have|had|shows?|showed|shown|demonstrates?|demonstrated|reveals?|revealed|seen
      |noted|remains?|appears?|suggests?|represents?|present|identified|visuali[sz]ed|projects?|projecting|terminates?
      |ends?|lies|overl(?:ies|ying)|extends?|persists?|persistent|consistent|compatible|indicates?|reflects?|limits?
      |obscures?|may|can|cannot|could|should|unchanged|improved|improvement|worsened|clear|normal|enlarged
      |unremarkable|stable|increased?|decreased?|developed|resolved|intact|elevated|negative|evidence
      |no(?!\s+(?:prior|previous|comparison|old|relevant|earlier)))\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ORGAN = re.compile(
    r"\b(?:lungs?|lobes?|heart|cardi\w+|mediastin\w+|pleura\w*|effusions?|pneumothora\w+|hil(?:a|ar|um)|diaphragm\w*"
    r"|bones?|osseous|ribs?|aort\w+|opacit\w+|consolidation\w*|nodules?|mass(?:es)?|edema|tubes?|catheters?|lines?"
    r"|carina|atrium|clavicles?|spine|lesions?|atelectasis|abnormalit\w+|disease|infiltrates?)\b",
    re.IGNORECASE,
)
# Said of the films that are compared, not of what they show.
_COMPARES = re.compile(
    r"^\W*(?:(?:with|in|no|none|and|for)\s+)*(?:comparison|compared|priors?|previous|correlation|reference|available)\b"
    r"[^.]*(?:\bavailable|\bis made|\bfor comparison|\bto[\s_x\d/,.-]*)\W*$",
    re.IGNORECASE,
)
_NEXT = re.compile(r"[.;]\s+")


def tells(paragraph: str, *, asked: bool = False, loud: bool = False) -> bool:
    """Tell whether a paragraph says what is seen.

    Args:
        paragraph: It; line breaks count as spaces.
        asked: Whether it stands where the question stands, so that a finding without a verb may be the ward's.
        loud: Whether the whole report is in capitals, so that no lower-case words can be asked for.
    """
    line = " ".join(paragraph[:_LONGEST].split())
    if _ASKS.search(line) or _COMPARES.search(line):
        return False
    if _HISTORY.search(line):  # "Status post sternotomy. The lungs are clear."
        end = _NEXT.search(line)
        rest = line[end.end() :] if end else ""
        return bool(_VERB.search(rest) and _ORGAN.search(rest)) and not (_ASKS.search(rest) or _HISTORY.search(rest))
    said = _VERB.search(line) is not None
    if not loud and _LOWER_WORD.search(line) is None:  # a title
        return said and _ORGAN.search(line) is not None
    return said or (not asked and next(find_mentions(line), None) is not None)
