"""A sentence enters, what it says without the earlier study leaves; nothing, where it says only how things changed.

"The left effusion is unchanged" still says that there is a left effusion, "heart size is unchanged" says nothing, and
"no new consolidation" does not say that there is none: the three cases that every rule here serves.
"""

from __future__ import annotations

from cxr_lightning.reports.earlier import (
    ADVERB,
    CHANGED,
    EARLIER,
    HOW,
    IN_SIZE,
    NOTABLE,
    OTHER_SIDE,
    PAST,
    PICTURE,
    SEEN,
    SEEN_WORD,
    any_of,
    may_need_another,
    pattern,
)
from cxr_lightning.reports.neutral import is_neutral
from cxr_lightning.reports.persistence import what_persists

_AGAIN_SEEN = pattern(
    rf"^(?:(?:(?:(?:once )?again|also again|redemonstrated and) {SEEN_WORD}|redemonstrated) (?:is|are|and is) "
    rf"|(?:also )?(?:unchanged|stable|persistent|new|newly \w+|pre-?existing)"
    rf"(?: (?:since|from) {EARLIER})? (?:is|are) (?:also )?"
    r"(?=(?:an?|the|mild|moderate|severe|small|large|bilateral|left|right|multiple|several)\b)"
    r"|there (?:still )?(?:persists?|continues? to be) )"
)
# A comparison that ends a sentence: ", unchanged from the prior study", "compared to ___", "since the previous exam".
_CLOSING = pattern(
    rf"(?:,|\(|\s-+)?\s*(?:(?:which|that) (?:is|are|was|were|appears?|has|have)(?: been)? )?\b{SEEN}?{HOW}"
    rf"(?:{CHANGED}{IN_SIZE} (?:as )?(?:from|since|to|than(?: on| in| at)?|as on|as in|on|in|over)"
    rf"|(?:{CHANGED} )?(?:as |when )?(?:compared?|in comparison|comparison|relative) (?:to|with)"
    rf"|from|since|than|as on|as in|in|on|over) (?:{EARLIER}|before|yesterday)\)?$"
)
_CLOSING_WORD = pattern(
    rf"(?:,\s*(?:which (?:is|are|appears?) )?{HOW}(?:{CHANGED}|as before|again)|,?\s+as (?:before|(?:seen|noted"
    rf"|described) (?:before|previously))|\s+in the interval"
    r"|,?\s+(?:allowing for|accounting for|given)(?: the)? differences? in\b[^,]*"
    rf"|,?\s+(?:and |but |which is |which are )?(?:both |all |each |is |are |remains? )*"
    rf"(?:stable|unchanged){IN_SIZE}"
    rf"|,?\s+(?:and )?(?:is |are )?better (?:seen|assessed|evaluated|appreciated|demonstrated) (?:on|by|in) .*"
    rf"|,?\s+(?:without|with no|or|or any|and no) (?:{NOTABLE} )*changes?)$"
)
# "The tube is in the right main bronchus and has been advanced": it is there.
_AND_MOVED = pattern(
    r",?\s+(?:and|but) (?:has|have) (?:also |since |now |\w+ly )*been (?:advanced|withdrawn|retracted|repositioned"
    rf"|pulled back|exchanged|replaced)(?: (?:since|from) {EARLIER}| in the interval)?$"
)
_WAS = pattern(r"\b(?:was|were|had)\b")
_NEUTRAL_PHRASE = pattern(
    r"(?:^|,\s*(?:and )?|\s+with (?:an? )?)(?:stable|unchanged),?\s+[\w\s,]{0,50}?"
    r"(?:contours?|silhouettes?|size|appearance|mediastinum|chest|heart|exam(?:ination)?)$"
)
_ENLARGED = pattern(r"\b(?:enlarge|promine|widen|tortuo|calcif|dilat|ectati|megaly|bulg)\w*")
_DEVELOPED = pattern(r"\b(?:has|have) (?:since )?developed (?=in\b)")
_NOT_WELL_SEEN = pattern(rf"\bnot (?:(?:as )?well|clearly|definitely|adequately)[- ]{SEEN_WORD}")
_SEEN_BEFORE = pattern(rf"\bpreviously {SEEN_WORD}|\btoday")
_ON_TODAYS = pattern(rf"\s+(?:on|in|by) (?:today|the current day)['’]?s? (?:\w+ ){{0,2}}{PICTURE}\b|,?\s+today$")
# Said of this study alone, and of no other: "There is a small effusion today."
_MERELY_TODAY = pattern(r"^today,?\s+|,?\s+today$")
# "Left opacity, no new opacity": the denial of what is new goes, and with it the list it may open.
_NOTHING_NEW = pattern(
    r"(?:,\s+(?:and |but |with )?no|,?\s+(?:with no|without|and no|but no)) (?:(?!and\b|but\b)[\w-]+ ){0,3}?"
    r"(?:new|newly|interval|interim)\b.*$"
)
# One side of this picture compared with its other side.
_SIDE_COMPARED = pattern(r"\bcompar\w+ (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other)\b")
_STILL_PLACED = pattern(
    r"\b(?P<verb>is|are|remains?) in (?:stable|unchanged|similar|the same) (?=(?:\w+ )?(?:position|location)s?\b)"
)
_ONLY_NAMES = pattern(
    r"^(?:(?:grossly|the|lung|heart|cardiac|mediastinal|cardiomediastinal|hilar|pulmonary|and|size|silhouettes?"
    r"|contours?"
    r"|appearance|of|volumes?|mediastinum|hila|hilum|chest|lungs|bones?|osseous|bony|structures?|vasculature|aeration"
    r"|inspiration|inflation|right|left|bilateral|bases?|lobes?|lower|upper|middle|exam|findings?|see|above|below"
    r"|as)\b[\s,]*)+$"
)
_STABLE_CONTOURS = pattern(
    r",\s*(?:stable|unchanged) [\w\s]{0,40}?(?:contours?|silhouettes?|size|appearance|mediastinum)(?=,)"
)
_PLACED = pattern(
    r"\s(?:is|are|remains?|appears?) (?:unchanged|stable)(?: in (?:position|size|appearance))?,?"
    r" (?=with\b)"
)
_WITH = pattern(r"^with (?:an? |the )?")
# "Increased density" says what a thing is like, "increased right effusion" how it changed.
_OF_A_FINDING = (
    r"(?= (?:(?!in\b|of\b|with\b|and\b|at\b|or\b|since\b|from\b|likely\b|bilaterally\b)[\w-]+,? ){0,3}(?:effusions?"
    r"|\w*pneumothora\w+|hemothora\w+|edema"
    r"|atelectas[ie]s|consolidations?|cardiomegaly|infiltrates?|pneumonia|nodules?|mass(?:es)?|collapse|congestion)\b)"
)
# "Improved but persistent pneumonia": the second word says that it is there.
_CHANGED_BUT_THERE = pattern(
    rf"\b(?:{ADVERB} )*(?:improv\w+|(?:in|de)creas\w+|smaller|larger|worsen\w+|stable|unchanged|resolving|new),?"
    r" (?:but|and|yet|though) (?:still )?"
    r"(?=(?:persist\w+|stable|unchanged|residual|ongoing|continued"
    r"|(?:incompletely|not (?:completely|fully|entirely)) resolved) (?!in\b|on\b|since\b))"
)
# What is excepted from the same is changed or gone: no finding that could stand by itself, else it was parted.
_UNCHANGED_BUT = pattern(
    r"\b(?:unchanged|stable|changes?),? (?:except|aside|apart|other than|with the exception)\b"
    r"|^(?:stable|unchanged) [^,]*\b(?:except for|aside from|other than)\b"
)
# Words of change that qualify a noun and can go without loss: "stable mild cardiomegaly", "is again seen".
_QUALIFYING = any_of(
    rf"""(?:stable|unchanged)[- ]appearing|unchanged|stable|persistent|persisting|redemonstrated|worsening|improving
    newly (?:appeared|appearing|developed|developing|placed|inserted|visible|seen|apparent|noted|diagnosed|positioned)
    newly|new|previously (?:{SEEN_WORD}|malpositioned|misplaced|coiled)|increasing|decreasing|enlarging
    recurrent(?! laryngeal)|similar[- ]appearing
    pre-?existing|continued|continuing|growing|ongoing|worsened
    (?:incompletely|not (?:completely|fully|entirely)) resolved|(?:increased|decreased|improved){_OF_A_FINDING}
    (?:larger|smaller)(?= (?:left|right|bilateral|pleural|pericardial|effusions?|pneumothorax|areas?|opacit
    consolidation))"""
)
_QUALIFIER = pattern(
    r"\b(?:(?:grossly )?(?:stable|unchanged|similar) (?:position|appearance|placement) of (?:the |an? )?(?=\w)"
    rf"|(?:{ADVERB} )?{_QUALIFYING}(?:,? and|,? but|,)?\s+"
    r"(?!(?:or|and|in|on|from|since|with|to|for|at|than|compared|when)\b)(?=\w)"
    r"|(?:once )?again,? (?=\w)|^interval (?:in|de)creased (?!in\b)(?=\w)"
    r"|(?:interval (?:development|appearance)|redemonstration) of (?=\w)"
    r"|(?:there has been )?(?:interval )?development of (?=\w)|^(?:grossly |overall )?similar (?!appearance"
    r"|to\b|in\b)(?=\w)"
    r"|as before,? (?=\w)|(?:now|still) (?=\w)"
    r"|persistently (?=\w)"
    r"|(?:slightly |markedly )?(?:in|de)creased (?:size|extent) of (?:the |an? )?(?=\w)"
    r"|(?<=with )(?:an? )?(?:interval )?(?:decrease|increase|worsening|progression)(?: in (?:the )?(?:size"
    r"|extent))? (?:in|of) (?:the |an? )?(?=\w)"
    r"|in (?:stable|unchanged|similar) position\b)"
)
_EXAM_WITH = pattern(r"^(?:otherwise )?(?:exam(?:ination)?|study|radiograph|chest|appearance) with (?:an? |the )?")
# An article that fitted the word that went: "an unchanged silhouette".
_MISFIT_ARTICLE = pattern(r"\ban (?=[^\Waeiou])|\ba (?=[aeio])")
_DENIED_CHANGE = pattern(
    r"\b(?:no|without|not|nor|any)\b.{0,60}?"
    rf"\b(?:new|newly|worsened|still|growing|continued|pre-?existing|(?:in|de)crease (?:in|of)|(?:in"
    rf"|de)creased{_OF_A_FINDING}|{NOTABLE} change|change (?:in|since|from)|interval|worsening|progression"
    r"|increasing|decreasing|enlarging|development|larger|smaller|interim)\b"
)
_STILL = any_of(
    rf"""priors?{PAST}|previous{PAST}|previously|earlier|since|interval|again
    compar(?:ed|ison|able|ing){OTHER_SIDE}|similar to|redemonstrat\w+
    unchanged|stable|persists?|persisted|improve\w*|worsen\w*|progress\w*|new|newly|no longer
    resolved|resolution|resolving|(?:{NOTABLE}|little) changes?|persistent|persistently|without comparisons?
    (?:has|have) (?:been )?(?:\w+ly )?(?:increased|decreased|developed|cleared|removed|placed|advanced)
    (?:has|have) (?:also |since )?been (?:removed|withdrawn|replaced|repositioned|extubated|exchanged)
    (?:has|have) (?:been )?(?:\w+ly )?(?:withdrawn|retracted|enlarged|changed)
    better (?:seen|assessed|evaluated|demonstrated)
    now|today(?:['’]s)?|interim|increasing|decreasing|cleared|clearing|development|changed|similar appearance
    grossly similar
    (?:appears?|is|are|slightly|become|becoming) (?:larger|smaller)(?! (?:than|on|in the)\b)
    (?:more|less) (?:prominent|pronounced|conspicuous|apparent|evident|extensive)(?=$|,)
    before|still|pre-?existing|continued|continues? to (?:be|show|have|demonstrate|increase|decrease)
    recurred|reaccumulated|reappeared|growing|has grown|formerly|yesterday
    (?:up|down) from|(?:better|poorer|deeper|shallower|lower) inspiration
    (?:in|de)creased{_OF_A_FINDING}|(?:slightly|somewhat|even|much) lower lung volumes
    (?:has|have) replaced|(?:has|have) been (?:evacuated|drained)
    (?:has|have) (?:returned|re-?expanded|reinflated|responded|evolved|regressed)
    (?:was|were) (?:removed|withdrawn)|having been
    (?:better|improved) (?:aerat|inflat|expan|ventilat)\w+"""
)
_NEWER = pattern(r"\b(?:new|larger|increased|worse\w*)\b")
_DENIES = pattern(r"\b(?:no|without|nor)\b")
_STILL_PRIOR = pattern(rf"\b{_STILL}\b|^(?:there (?:is|has been) )?no changes?\b")


def without_priors(sentence: str) -> str:
    """Cut what a sentence says about an earlier study.

    Args:
        sentence: One sentence, without its full stop.

    Returns:
        What this study alone supports, in the sentence's own words; empty where that is nothing.
    """
    if not may_need_another(sentence):
        return sentence
    if _NOT_WELL_SEEN.search(sentence) and (_CLOSING.search(sentence) or _SEEN_BEFORE.search(sentence)):
        return ""
    if _UNCHANGED_BUT.search(sentence):
        return ""
    sentence = _CHANGED_BUT_THERE.sub("", sentence)
    sentence = _STILL_PLACED.sub(r"\g<verb> in ", _ON_TODAYS.sub("", _MERELY_TODAY.sub("", sentence)))
    shorter = _NOTHING_NEW.sub("", _AGAIN_SEEN.sub("", sentence))
    if not shorter.lower().startswith("no "):
        shorter = _DEVELOPED.sub("", shorter)
    said = (shorter,) if _SIDE_COMPARED.search(shorter) else what_persists(shorter)
    return next((kept for each in said if (kept := _unqualified(_without_closing(each)))), "")


def _unqualified(sentence: str) -> str:
    """Cut the words of change that qualify a noun; nothing is left where others stay, or where one was denied."""
    if _DENIED_CHANGE.search(sentence):
        return ""
    phrase = _NEUTRAL_PHRASE.search(sentence)
    if phrase and not _ENLARGED.search(phrase[0]):
        sentence = sentence[: phrase.start()]
    sentence = _without_placed(_STABLE_CONTOURS.sub("", sentence))
    shorter = _QUALIFIER.sub("", sentence)
    if shorter != sentence:
        shorter = _EXAM_WITH.sub("", " ".join(shorter.split()))
        shorter = "" if _ONLY_NAMES.match(shorter) else _MISFIT_ARTICLE.sub("", shorter)
    return "" if _STILL_PRIOR.search(shorter) else shorter


def _without_closing(sentence: str) -> str:
    """Cut the comparison that ends a sentence; nothing is left of one that only says what is always there."""
    if not _WAS.search(sentence):
        sentence = _AND_MOVED.sub("", sentence)
    compared = _CLOSING.sub("", sentence).rstrip(" ,")
    # "No pneumothorax, new since ___" may leave an old one.
    if _NEWER.search(sentence[len(compared) :]) and _DENIES.search(compared):
        return ""
    shorter = _CLOSING_WORD.sub("", compared)
    return "" if shorter != compared and is_neutral(shorter) else shorter


def _without_placed(sentence: str) -> str:
    """Cut "is stable" before "with": what is always there goes too, for "heart size with a tortuous aorta" limps."""
    placed = _PLACED.search(sentence)
    if placed is None:
        return sentence
    before, after = sentence[: placed.start()], sentence[placed.end() :]
    return _WITH.sub("", after) if is_neutral(before) else f"{before} {after}"
