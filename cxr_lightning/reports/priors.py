"""A sentence enters, what it says without the earlier study leaves; nothing, where it says only how things changed.

"The left effusion is unchanged" still says that there is a left effusion, "heart size is unchanged" says nothing, and
"no new consolidation" does not say that there is none: the three cases that every rule here serves.
"""

from __future__ import annotations

import re


def _any(words: str) -> str:
    """Join lines of alternatives to one pattern."""
    return "(?:" + "|".join(line.strip() for line in words.splitlines()) + ")"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_CHANGED = _any(
    """unchanged|changed|stable|similar|new|increased|decreased|improved|improving|worse|worsened|worsening
    larger|smaller|more prominent|more pronounced|more conspicuous|more extensive
    less prominent|less pronounced|less conspicuous|less extensive"""
)
_ADVERB = _any(
    """grossly|essentially|relatively|overall|largely|otherwise|not significantly|significantly|slightly|mildly
    minimally|moderately|markedly|substantially|somewhat|again|also"""
)
_HOW = f"(?:{_ADVERB} )*"
_IN_SIZE = r"(?: in (?:size|appearance|extent|position|severity))?"
_NOTABLE = _any("significant|interval|relevant|substantial|appreciable|major")
_SEEN_WORD = _any(
    "seen|noted|demonstrated|identified|visualized|present|appreciated|described|mentioned|reported|shown"
)
_SEEN = f"(?:(?:not |better |well |also |as )*{_SEEN_WORD} )"

# Words after "prior" that make it the patient's past and not an earlier picture: "prior granulomatous disease".
_PAST_WORD = _any(
    r"""granulomatous|surgery|surgical|sternotomy|cabg|fractures?|infection|disease|tb|tuberculosis|trauma|injury|insult
    cholecystectomy|mastectomy|thoracotomy|lobectomy|resection|exposure|inflammat\w+|infarct\w*|procedure"""
)
_PAST = rf"(?! (?:\w+ )?{_PAST_WORD}\b)"
_WORDS = r"(?:[ ,]+(?!(?:the|there|is|are|was|has|no|with|and|but)\b)[\w/:-]+)"
_PICTURE = _any("study|studies|exams?|examinations?|radiographs?|films?|x-?rays?|images?|ct|scan")
_BLANK = r"(?:_{2,}|x{4,})"
_EARLIER = (
    r"(?:the |a |an |his |her |their )?(?:most )?(?:recent |immediate )?"
    rf"(?:(?:priors?|previous|preceding|earlier|older|last|comparison){_PAST}{_WORDS}{{0,5}}"
    rf"|(?:old|{_BLANK}) {_PICTURE}{_WORDS}{{0,3}}|{_BLANK})"
)
# Sides of one picture may be compared: "compared to the left".
_OTHER_SIDE = r"(?! (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other))"

# A comparison that opens a sentence, up to its comma: "As compared to the previous radiograph, there is ...".
_OPENING = _pattern(
    rf"^(?:(?:as |when |in |by |with )?(?:compared|comparison){_OTHER_SIDE}\b[^,]*|since [^,]*|in the interval|interval"
    r"|again|once again|as before|(?:unchanged|stable) (?:from|since)[^,]*),\s*"
)
_AGAIN_SEEN = _pattern(rf"^(?:once )?again {_SEEN_WORD} (?:is|are|and is) ")
# A comparison that ends a sentence: ", unchanged from the prior study", "compared to ___", "since the previous exam".
_CLOSING = _pattern(
    rf"(?:,|\(|\s-+)?\s*(?:(?:which|that) (?:is|are|was|were|appears?|has|have)(?: been)? )?\b{_SEEN}?{_HOW}"
    rf"(?:{_CHANGED}{_IN_SIZE} (?:as )?(?:from|since|to|than|as on|as in|on|in)"
    rf"|(?:{_CHANGED} )?(?:as |when )?(?:compared?|in comparison|comparison|relative) (?:to|with)"
    rf"|from|since|than|as on|as in|in|on) {_EARLIER}\)?$"
)
_CLOSING_WORD = _pattern(
    rf"(?:,\s*(?:which (?:is|are|appears?) )?{_HOW}(?:{_CHANGED}|as before|again)|\s+as before|\s+in the interval"
    rf"|,?\s+(?:without|with no|or|or any|and no) (?:{_NOTABLE} )*changes?)$"
)
# "The effusion has increased since ...": what changed is named before the verb.
_PREDICATE = _pattern(
    r"^(?:the |there (?:is|are|has been) )?(?P<what>\S.*?),? (?:is|are|has|have|remains?|appears?)(?: been)? "
    rf"{_HOW}{_CHANGED}{_IN_SIZE}(?: (?:since|from|compared)\b.*| (?:to|than) {_EARLIER})?$"
)
_HEAD_ENDS = _pattern(r"\b(?:of|in|at|within|with|on|along|overlying|involving|from|for|to)\b|,")
_ALWAYS_THERE = _any(
    """size|silhouettes?|contours?|appearance|positions?|hearts?|lungs?|mediastinum|volumes?|structures?|study|studies
    exam(?:ination)?|findings?|chest|hilum|hila|aorta|spine|bones?|vasculature|vascularity|trachea|diaphragms?|margins?
    hemidiaphragms?|remainder|aeration|inspiration|process|radiographs?|configuration|skeleton|thorax
    there|it|this|these|they|which|that"""
)
_NEUTRAL = _pattern(rf"\b{_ALWAYS_THERE}$")
_NEUTRAL_PHRASE = _pattern(
    r"(?:^|,\s*(?:and )?)(?:stable|unchanged),?\s+[\w\s,]{0,50}?"
    r"(?:contours?|silhouettes?|size|appearance|mediastinum|chest|heart|exam(?:ination)?)$"
)
_PLACED = _pattern(r"\s(?:is|are|remains?) (?:unchanged|stable)(?: in position)?,? (?=with\b)")
# Words of change that qualify a noun and can go without loss: "stable mild cardiomegaly", "is again seen".
_QUALIFYING = _any(
    rf"""(?:stable|unchanged)[- ]appearing|unchanged|stable|persistent|persisting|redemonstrated|worsening|improving
    newly|new|previously {_SEEN_WORD}"""
)
_QUALIFIER = _pattern(
    rf"\b(?:(?:{_ADVERB} )?{_QUALIFYING}(?:,? and|,)?\s+"
    r"(?!(?:or|and|in|on|from|since|with|to|for|at|than|compared|when)\b)(?=\w)"
    r"|(?:once )?again,? (?=\w)|(?:interval (?:development|appearance)|redemonstration) of (?=\w)"
    r"|in (?:stable|unchanged|similar) position\b)"
)
# An article that fitted the word that went: "an unchanged silhouette".
_MISFIT_ARTICLE = _pattern(r"\ban (?=[^\Waeiou])|\ba (?=[aeio])")
_DENIED_CHANGE = _pattern(
    r"\b(?:no|without|not|nor|any)\b.{0,60}?"
    rf"\b(?:new|{_NOTABLE} change|change (?:in|since|from)|interval|worsening|progression)\b"
)
_STILL = _any(
    rf"""priors?{_PAST}|previous{_PAST}|previously|earlier|since|interval|again
    compar(?:ed|ison|able|ing){_OTHER_SIDE}|similar to|redemonstrat\w+
    unchanged|stable|persists?|persisted|improve\w*|worsen\w*|progress\w*|new|newly|no longer
    resolved|resolution|resolving|(?:{_NOTABLE}|little) change
    (?:has|have) (?:been )?(?:\w+ly )?(?:increased|decreased|developed|cleared|removed|placed|advanced)
    (?:has|have) (?:been )?(?:\w+ly )?(?:withdrawn|retracted|enlarged|changed)
    better (?:seen|assessed|evaluated|demonstrated)"""
)
_STILL_PRIOR = _pattern(rf"\b{_STILL}\b|^no change\b")


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
