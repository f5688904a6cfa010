"""A sentence enters, what it says without the earlier study leaves; nothing, where it says only how things changed.

"The left effusion is unchanged" still says that there is a left effusion, "heart size is unchanged" says nothing, and
"no new consolidation" does not say that there is none: the three cases that every rule here serves.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_CHANGED = (
    r"(?:unchanged|changed|stable|similar|new|increased|decreased|improved|improving|worse|worsened|worsening"
    r"|larger|smaller"
    r"|more (?:prominent|pronounced|conspicuous|extensive)|less (?:prominent|pronounced|conspicuous|extensive))"
)
_HOW = (
    r"(?:(?:grossly|essentially|relatively|overall|largely|otherwise|not significantly|significantly|slightly"
    r"|mildly|minimally"
    r"|moderately|markedly|substantially|somewhat|again|also) )*"
)
# Words after "prior" that make it the patient's past and not an earlier picture: "prior granulomatous disease".
_PAST = (
    r"(?! (?:\w+ )?(?:granulomatous|surgery|surgical|sternotomy|cabg|fractures?|infection|disease|tb"
    r"|tuberculosis|trauma|injury"
    r"|cholecystectomy|mastectomy|thoracotomy|lobectomy|resection|insult|exposure|inflammat\w+|infarct\w*|procedure)\b)"
)
_WORDS = r"(?:[ ,]+(?!(?:the|there|is|are|was|has|no|with|and|but)\b)[\w/:-]+)"
_PICTURE = r"(?:study|studies|exams?|examinations?|radiographs?|films?|x-?rays?|images?|ct|scan)"
_BLANK = r"(?:_{2,}|x{4,})"
_EARLIER = (
    r"(?:the |a |an |his |her |their )?(?:most )?(?:recent |immediate )?"
    rf"(?:(?:priors?|previous|preceding|earlier|older|last|comparison){_PAST}{_WORDS}{{0,5}}"
    rf"|(?:old|{_BLANK}) {_PICTURE}{_WORDS}{{0,3}}|{_BLANK})"
)
# Sides of one picture may be compared: "compared to the left".
_OTHER_SIDE = r"(?! (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other))"

# A comparison that opens a sentence, up to its comma: "As compared to the previous radiograph, there is ...".
_OPENING = re.compile(
    rf"^(?:(?:as |when |in |by |with )?(?:compared|comparison){_OTHER_SIDE}\b[^,]*|since [^,]*|in the interval"
    rf"|again|as before"
    r"|once again|interval|(?:unchanged|stable) (?:from|since)[^,]*),\s*",
    _I,
)
# A comparison that ends a sentence: ", unchanged from the prior study", "compared to ___", "since the previous exam".
_SEEN = (
    r"(?:(?:not |better |well |also |as )*"
    r"(?:seen|noted|demonstrated|identified|visualized|present|appreciated|described) )"
)
_CLOSING = re.compile(
    rf"(?:,|\(|\s-+)?\s*(?:(?:which|that) (?:is|are|was|were|appears?|has|have)(?: been)? )?\b{_SEEN}?{_HOW}"
    rf"(?:{_CHANGED}(?: in (?:appearance|size|extent|position|severity))?"
    r" (?:as )?(?:from|since|to|than|as on|as in|on|in)"
    rf"|(?:{_CHANGED} )?(?:as |when )?(?:compared?|in comparison|comparison|relative) (?:to|with)"
    rf"|from|since|than|as on|as in|in|on) {_EARLIER}\)?$",
    _I,
)
_CLOSING_WORD = re.compile(
    rf"(?:,\s*(?:which (?:is|are|appears?) )?{_HOW}(?:{_CHANGED}|as before|again)|\s+as before|,?\s+(?:without|with no)"
    r" (?:significant |substantial |appreciable |relevant |major )?(?:interval )?change|\s+in the interval)$",
    _I,
)
_PREDICATE = re.compile(
    rf"^(?:the |there (?:is|are|has been) )?(?P<what>\S.*?),? (?:is|are|has|have|remains?"
    rf"|appears?)(?: been)? {_HOW}{_CHANGED}"
    rf"(?: in (?:size|appearance|extent|position|severity))?(?: (?:since|from|compared)\b.*| (?:to|than) {_EARLIER})?$",
    _I,
)
_HEAD_ENDS = re.compile(r"\b(?:of|in|at|within|with|on|along|overlying|involving|from|for|to)\b|,", _I)
_NEUTRAL = re.compile(
    r"\b(?:size|silhouettes?|contours?|appearance|positions?|hearts?|lungs?|mediastinum|volumes?|structures?"
    r"|exam(?:ination)?|study"
    r"|studies|findings?|chest|hilum|hila|aorta|spine|bones?|vasculature|vascularity|trachea|diaphragms?"
    r"|hemidiaphragms?|remainder"
    r"|aeration|inspiration|process|there|it|this|these|they|which|that|radiographs?|configuration|skeleton"
    r"|thorax|margins?)$",
    _I,
)
_NEUTRAL_PHRASE = re.compile(
    r"(?:^|,\s*(?:and )?)(?:stable|unchanged),?\s+[\w\s,]{0,50}?(?:contours?|silhouettes?|size|appearance"
    r"|mediastinum|chest|heart"
    r"|exam(?:ination)?)$",
    _I,
)
_PLACED = re.compile(r"\s(?:is|are|remains?) (?:unchanged|stable)(?: in position)?,? (?=with\b)", _I)
# Words of change that qualify a noun and can go without loss: "stable mild cardiomegaly", "is again seen".
_QUALIFIER = re.compile(
    r"\b(?:(?:(?:grossly|relatively|essentially|slightly|overall) )?(?:unchanged|(?:stable"
    r"|unchanged)[- ]appearing|stable|persistent|persisting|redemonstrated|worsening|improving|new"
    r"|newly|previously (?:seen|noted|described|identified|demonstrated|visualized|mentioned|reported))(?:,? and|,)?\s+"
    r"(?!(?:or|and|in|on|from|since|with|to|for|at|than|compared|when)\b)(?=\w)|(?:once )?again,? (?=\w)"
    r"|interval (?:development|appearance) of (?=\w)"
    r"|redemonstration of (?=\w)|in (?:stable|unchanged|similar) position\b)",
    _I,
)
_AGAIN_SEEN = re.compile(
    r"^(?:once )?again (?:noted|seen|demonstrated|identified|visualized|shown) (?:is|are|and is) ", _I
)
# An article that fitted the word that went: "an unchanged silhouette".
_MISFIT_ARTICLE = re.compile(r"\ban (?=[^\Waeiou])|\ba (?=[aeio])", _I)
_DENIED_CHANGE = re.compile(
    r"\b(?:no|without|not|nor|any)\b.{0,60}?\b(?:new|(?:significant|interval|substantial|appreciable|relevant"
    r"|major) change|change (?:in|since|from)"
    r"|interval|worsening|progression)\b",
    _I,
)
_STILL_PRIOR = re.compile(
    rf"\b(?:priors?{_PAST}|previous{_PAST}|previously|compar(?:ed|ison|able|ing)(?! (?:to"
    rf"|with) (?:the )?(?:left|right|contralateral))"
    r"|interval|unchanged|stable|since|earlier|no longer|resolved|resolution|resolving|again|persists?"
    r"|persisted|improve\w*|worsen\w*"
    r"|progress\w*|(?:has|have) (?:been )?(?:\w+ly )?(?:increased|decreased|developed|cleared|removed|placed"
    r"|advanced|withdrawn|retracted"
    r"|enlarged|changed)|better (?:seen|assessed|evaluated|demonstrated)|(?:significant|interval|relevant"
    r"|substantial|appreciable|major|little) change|^no change|new|newly"
    r"|similar to|redemonstrat\w+)\b",
    _I,
)


def without_priors(sentence: str) -> str:
    """Cut what a sentence says about an earlier study.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        What this study alone supports, in the sentence's own words; empty where that is nothing.
    """
    shorter = _OPENING.sub("", _AGAIN_SEEN.sub("", sentence))
    predicate = _PREDICATE.match(shorter)
    if predicate:
        shorter = "" if _is_neutral(predicate["what"]) else predicate["what"]
    else:
        shorter = _CLOSING_WORD.sub("", _CLOSING.sub("", shorter).rstrip(" ,"))
    if _DENIED_CHANGE.search(shorter):
        return ""
    shorter = _PLACED.sub(" ", _NEUTRAL_PHRASE.sub("", shorter))
    qualified, shorter = shorter, _QUALIFIER.sub("", shorter)
    if shorter != qualified:
        shorter = _MISFIT_ARTICLE.sub("", shorter)
    return "" if _STILL_PRIOR.search(shorter) else shorter


def _is_neutral(what: str) -> bool:
    """Tell whether a thing is always there, so that naming it says nothing: its head noun decides."""
    head = _HEAD_ENDS.split(what, maxsplit=1)[0].strip()
    return not head or _NEUTRAL.search(head) is not None or head.lower().startswith("no ")
