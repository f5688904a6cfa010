"""A sentence enters, what it says without the earlier study leaves; nothing, where it says only how things changed.

"The left effusion is unchanged" still says that there is a left effusion, "heart size is unchanged" says nothing, and
"no new consolidation" does not say that there is none: the three cases that every rule here serves.
"""

from __future__ import annotations

import re

from cxr_lightning.reports.blanks import BLANK


def _any(words: str) -> str:
    """Join lines of alternatives to one pattern."""
    return "(?:" + "|".join(line.strip() for line in words.splitlines()) + ")"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_CHANGED = _any(
    """unchanged|changed|stable|similar|new|increased|decreased|improved|improving|worse|worsened|worsening
    larger|smaller|more prominent|more pronounced|more conspicuous|more extensive
    less apparent|less perceptible|less evident|less prominent|less pronounced|less conspicuous|less extensive"""
)
_ADVERB = _any(
    """grossly|essentially|relatively|overall|largely|otherwise|not significantly|significantly|slightly|mildly
    minimally|moderately|markedly|substantially|somewhat|again|also|now"""
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
    cholecystectomy|mastectomy|thoracotomy|lobectomy|resection|exposure|inflammat\w+|infarct\w*|procedure|replacement
    fusion|repair|graft|stent\w*|embolization|bypass|histoplasmosis|pneumonectomy|thyroidectomy|vertebroplasty"""
)
_PAST = rf"(?! (?:\w+ ){{0,3}}{_PAST_WORD}\b)"
_WORDS = r"(?:[ ,]+(?!(?:the|there|is|are|was|has|no|with|and|but)\b)[\w/:-]+)"
_PICTURE = _any("study|studies|exams?|examinations?|radiographs?|films?|x-?rays?|images?|ct|scan")
_EARLIER = (
    r"(?:the |a |an |his |her |their )?(?:most )?(?:recent |immediate )?"
    rf"(?:(?:priors?|previous|preceding|earlier|older|last|comparison){_PAST}{_WORDS}{{0,5}}"
    rf"|(?:old|{BLANK}) {_PICTURE}{_WORDS}{{0,3}}|{BLANK})"
)
# Sides of one picture may be compared: "compared to the left".
_OTHER_SIDE = r"(?! (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other))"

# A comparison that opens a sentence, up to its comma: "As compared to the previous radiograph, there is ...".
_OPENING = _pattern(
    rf"^(?:(?:as |when |in |by |with )?(?:compared|comparison){_OTHER_SIDE}\b[^,]*|since [^,]*|in the interval|interval"
    r"|again|once again|as before|without [^,]*\bchanges?|(?:unchanged|stable) (?:from|since)[^,]*),\s*"
)
_AGAIN_SEEN = _pattern(
    rf"^(?:(?:(?:once )?again|also again|redemonstrated and) {_SEEN_WORD}|redemonstrated) (?:is|are|and is) "
)
# A comparison that ends a sentence: ", unchanged from the prior study", "compared to ___", "since the previous exam".
_CLOSING = _pattern(
    rf"(?:,|\(|\s-+)?\s*(?:(?:which|that) (?:is|are|was|were|appears?|has|have)(?: been)? )?\b{_SEEN}?{_HOW}"
    rf"(?:{_CHANGED}{_IN_SIZE} (?:as )?(?:from|since|to|than|as on|as in|on|in)"
    rf"|(?:{_CHANGED} )?(?:as |when )?(?:compared?|in comparison|comparison|relative) (?:to|with)"
    rf"|from|since|than|as on|as in|in|on) {_EARLIER}\)?$"
)
_CLOSING_WORD = _pattern(
    rf"(?:,\s*(?:which (?:is|are|appears?) )?{_HOW}(?:{_CHANGED}|as before|again)|\s+as before|\s+in the interval"
    rf"|,?\s+(?:and |but |which is |which are )?(?:both |is |are |remains? )?"
    rf"(?:stable|unchanged)(?: in (?:position|appearance|size))?"
    rf"|,?\s+(?:and )?(?:is |are )?better (?:seen|assessed|evaluated|appreciated|demonstrated) (?:on|by|in) .*"
    rf"|,?\s+(?:without|with no|or|or any|and no) (?:{_NOTABLE} )*changes?)$"
)
# "The effusion has increased since ...": what changed is named before the verb.
_PREDICATE = _pattern(
    r"^(?:the |there (?:is|are|has been) )?(?P<what>\S.*?),? (?:is|are|has|have|remains?|appears?)(?: been)? "
    rf"{_HOW}{_CHANGED}{_IN_SIZE}(?: (?:since|from|compared)\b.*| (?:to|than) {_EARLIER})?$"
)
_OVERALL = _pattern(r"^(?:overall|otherwise),? ")
_HEAD_ENDS = _pattern(r"\b(?:of|in|at|within|with|on|along|overlying|involving|from|for|to)\b|,")
_ALWAYS_THERE = _any(
    """size|silhouettes?|contours?|appearance|positions?|hearts?|lungs?|mediastinum|volumes?|structures?|study|studies
    exam(?:ination)?|findings?|chest|hilum|hila|aorta|spine|bones?|vasculature|vascularity|trachea|diaphragms?|margins?
    hemidiaphragms?|remainder|aeration|inspiration|process|radiographs?|configuration|skeleton|thorax
    there|it|this|these|they|which|that"""
)
_NEUTRAL = _pattern(
    rf"\b{_ALWAYS_THERE}$|^(?:(?:the|right|left|upper|lower|middle|mid|lung|both) )*"
    r"(?:left|right|others?|ones?|former|latter|both|sides?|rest|lobes?|bases?|zones?|fields?|tips?)$"
)
_NEUTRAL_PHRASE = _pattern(
    r"(?:^|,\s*(?:and )?)(?:stable|unchanged),?\s+[\w\s,]{0,50}?"
    r"(?:contours?|silhouettes?|size|appearance|mediastinum|chest|heart|exam(?:ination)?)$"
)
_ENLARGED = _pattern(r"\b(?:enlarge|promine|widen|tortuo|calcif|dilat|ectati|megaly|bulg)\w*")
_DEVELOPED = _pattern(r"\b(?:has|have) (?:since )?developed (?=in\b)")
_NO_CHANGE_IN = _pattern(
    rf"^no (?:{_NOTABLE} )*change (?:in|of) (?:the )?(?:(?:appearance|size|extent) of )?(?:the |a )?(?P<what>\w.*)$"
)
_NOT_WELL_SEEN = _pattern(rf"\bnot (?:(?:as )?well|clearly|definitely|adequately)[- ]{_SEEN_WORD}")
_SEEN_BEFORE = _pattern(rf"\bpreviously {_SEEN_WORD}|\btoday")
# "No change in pneumothorax or fluid" does not say which of them there is.
_EITHER = _pattern(r"\b(?:or|nor|and/or)\b|/")
_ON_TODAYS = _pattern(rf"\s+(?:on|in|by) (?:today|the current day)['’]?s? (?:\w+ ){{0,2}}{_PICTURE}\b|,?\s+today$")
# Said of this study alone, and of no other: "There is a small effusion today."
_MERELY_TODAY = _pattern(r"^today,?\s+|,?\s+today$")
# One side of this picture compared with its other side.
_SIDE_COMPARED = _pattern(
    r"\bcompar\w+ (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other)\b|\bthan (?:on |in "
    r"|at )?(?:the )?(?:left|right)\b"
)
# "Improvement in pulmonary edema, now mild": that it is mild now says that it is there.
_NOW_SIZED = _pattern(
    r"^(?:there (?:is|has been) )?(?:(?!no\b|not\b|without\b)\w+ ){0,2}(?:improvement|worsening|increase"
    r"|decrease|progression|reduction)"
    r" (?:in|of) (?:the )?(?:size of (?:the )?)?(?P<what>[^,]+), (?:which is )?now (?=(?:minimal|mild|moderate"
    r"|severe|trace|tiny|small|large)\b)"
)
# A device that was placed is there; one that was placed and taken out says more behind the verb.
_WAS_PLACED = _pattern(
    r"\s(?:has|have) been (?:\w+ly )?(?:placed|inserted)(?=$|,? (?:with|in|into|through|via|terminating|ending)\b)"
)
_STILL_PLACED = _pattern(
    r"\b(?P<verb>is|are|remains?) in (?:stable|unchanged|similar|the same) (?=(?:\w+ )?(?:position|location)s?\b)"
)
_ONLY_NAMES = _pattern(
    r"^(?:(?:grossly|the|lung|heart|cardiac|mediastinal|cardiomediastinal|hilar|pulmonary|and|size|silhouettes?"
    r"|contours?"
    r"|appearance|of|volumes?|mediastinum|hila|hilum|chest|lungs|bones?|osseous|bony|structures?|vasculature|aeration"
    r"|inspiration|inflation|right|left|bilateral|bases?|lobes?|lower|upper|middle|exam|findings?)\b[\s,]*)+$"
)
_STABLE_CONTOURS = _pattern(
    r",\s*(?:stable|unchanged) [\w\s]{0,40}?(?:contours?|silhouettes?|size|appearance|mediastinum)(?=,)"
)
_PLACED = _pattern(
    r"\s(?:is|are|remains?|appears?) (?:unchanged|stable)(?: in (?:position|size|appearance))?,?"
    r" (?=with\b)"
)
_WITH = _pattern(r"^with (?:an? |the )?")
# Words of change that qualify a noun and can go without loss: "stable mild cardiomegaly", "is again seen".
_QUALIFYING = _any(
    rf"""(?:stable|unchanged)[- ]appearing|unchanged|stable|persistent|persisting|redemonstrated|worsening|improving
    newly|new|previously {_SEEN_WORD}|increasing|decreasing|enlarging|now|recurrent(?! laryngeal)|similar[- ]appearing
    (?:larger|smaller)(?= (?:left|right|bilateral|pleural|pericardial|effusions?|pneumothorax|areas?|opacit
    consolidation))"""
)
_QUALIFIER = _pattern(
    rf"\b(?:(?:{_ADVERB} )?{_QUALIFYING}(?:,? and|,)?\s+"
    r"(?!(?:or|and|in|on|from|since|with|to|for|at|than|compared|when)\b)(?=\w)"
    r"|(?:once )?again,? (?=\w)|(?:interval (?:development|appearance)|redemonstration) of (?=\w)"
    r"|(?:there has been )?(?:interval )?development of (?=\w)|^(?:grossly |overall )?similar (?!appearance"
    r"|to\b|in\b)(?=\w)"
    r"|(?:grossly )?(?:stable|unchanged|similar) (?:position|appearance|placement) of (?:the |an? )?(?=\w)"
    r"|as before,? (?=\w)"
    r"|persistently (?=\w)"
    r"|in (?:stable|unchanged|similar) position\b)"
)
# What grew is still there; what shrank may be gone, so that only growth is taken for a finding.
_GROWN = _pattern(
    r"^(?:there (?:is|has been) )?(?:(?!no\b|not\b|without\b|denies\b)\w+ )?interval"
    r" (?:enlargement|worsening|progression|increase(?: in (?:the )?size(?: and number)?)?|placement|insertion)"
    r" (?:of|in) (?:the )?(?=\w)"
)
# An article that fitted the word that went: "an unchanged silhouette".
_MISFIT_ARTICLE = _pattern(r"\ban (?=[^\Waeiou])|\ba (?=[aeio])")
_DENIED_CHANGE = _pattern(
    r"\b(?:no|without|not|nor|any)\b.{0,60}?"
    rf"\b(?:new|{_NOTABLE} change|change (?:in|since|from)|interval|worsening|progression"
    r"|increasing|decreasing|enlarging|development|larger|smaller|interim)\b"
)
_STILL = _any(
    rf"""priors?{_PAST}|previous{_PAST}|previously|earlier|since|interval|again
    compar(?:ed|ison|able|ing){_OTHER_SIDE}|similar to|redemonstrat\w+
    unchanged|stable|persists?|persisted|improve\w*|worsen\w*|progress\w*|new|newly|no longer
    resolved|resolution|resolving|(?:{_NOTABLE}|little) changes?|persistent|persistently|without comparisons?
    (?:has|have) (?:been )?(?:\w+ly )?(?:increased|decreased|developed|cleared|removed|placed|advanced)
    (?:has|have) (?:also |since )?been (?:removed|withdrawn|replaced|repositioned|extubated|exchanged)
    (?:has|have) (?:been )?(?:\w+ly )?(?:withdrawn|retracted|enlarged|changed)
    better (?:seen|assessed|evaluated|demonstrated)
    now|today(?:['’]s)?|interim|increasing|decreasing|cleared|clearing|development|changed|similar appearance
    grossly similar
    (?:appears?|is|are|slightly|become|becoming) (?:larger|smaller)(?! (?:than|on|in the)\b)
    (?:more|less) (?:prominent|pronounced|conspicuous|apparent|evident|extensive)(?=$|,)"""
)
_STILL_PRIOR = _pattern(rf"\b{_STILL}\b|^(?:there (?:is|has been) )?no changes?\b")


# No rule here concerns a sentence without one of these.
_TELLING = _pattern(
    rf"{BLANK}|chang|stable|similar|compar|increas|decreas|redemonstrat|develop|remov|plac(?:ed|ement)|withdr|insert"
    r"|\b(?:new|now|prior|previous|preced|earlier|old|last|interval|since|improv|wors|persist|resol|again|repos|exchang"
    r"|progress|clear(?:ed|ing)|larger|smaller|more|less|today|interim|before|better|enlarg|advanc|replac|retract|longer"
    r"|relative|reduc|recurr|extub|growth|grown|current)"
)


def may_need_another(sentence: str) -> bool:
    """Tell whether a sentence has any word that may speak of an earlier study, or a blank."""
    return _TELLING.search(sentence) is not None


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
    kept = _NO_CHANGE_IN.match(sentence)
    if kept and _EITHER.search(kept["what"]):
        return ""
    if kept and not _is_neutral(kept["what"]):
        sentence = kept["what"]
    sentence = _MERELY_TODAY.sub("", sentence)
    sentence = _STILL_PLACED.sub(r"\g<verb> in ", _ON_TODAYS.sub("", _NOW_SIZED.sub(r"\g<what>, ", sentence)))
    shorter = _GROWN.sub("", _OPENING.sub("", _AGAIN_SEEN.sub("", sentence)))
    if not shorter.lower().startswith("no "):
        shorter = _DEVELOPED.sub("", shorter)
    shorter = _WAS_PLACED.sub("", shorter)
    predicate = None if _SIDE_COMPARED.search(shorter) else _PREDICATE.match(shorter)
    said = predicate["what"] if predicate else ""
    shorter = _without_closing(shorter) if predicate is None else "" if _is_neutral(said) else said
    if _DENIED_CHANGE.search(shorter):
        return ""
    phrase = _NEUTRAL_PHRASE.search(shorter)
    if phrase and not _ENLARGED.search(phrase[0]):
        shorter = shorter[: phrase.start()]
    shorter = _without_placed(_STABLE_CONTOURS.sub("", shorter))
    qualified, shorter = shorter, _QUALIFIER.sub("", shorter)
    if shorter != qualified:
        shorter = "" if _ONLY_NAMES.match(shorter) else _MISFIT_ARTICLE.sub("", shorter)
    return "" if _STILL_PRIOR.search(shorter) else shorter


def _without_closing(sentence: str) -> str:
    """Cut the comparison that ends a sentence; nothing is left of one that only says what is always there."""
    compared = _CLOSING.sub("", sentence).rstrip(" ,")
    shorter = _CLOSING_WORD.sub("", compared)
    return "" if shorter != compared and _is_neutral(shorter) else shorter


def _without_placed(sentence: str) -> str:
    """Cut "is stable" before "with": what is always there goes too, for "heart size with a tortuous aorta" limps."""
    placed = _PLACED.search(sentence)
    if placed is None:
        return sentence
    before, after = sentence[: placed.start()], sentence[placed.end() :]
    return _WITH.sub("", after) if _is_neutral(before) else f"{before} {after}"


def _is_neutral(what: str) -> bool:
    """Tell whether a thing is always there, so that naming it says nothing: its head noun decides."""
    head = _HEAD_ENDS.split(_OVERALL.sub("", what), maxsplit=1)[0].strip()
    return not head or _NEUTRAL.search(head) is not None or head.lower().startswith("no ")
