"""The words in which a report speaks of an earlier picture: pieces of patterns that the rules of cleaning share."""

from __future__ import annotations

import re

from cxr_lightning.reports.blanks import BLANK


def any_of(words: str) -> str:
    """Join lines of alternatives to one pattern."""
    return "(?:" + "|".join(line.strip() for line in words.splitlines()) + ")"


def pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern that minds no capitals."""
    return re.compile(text, re.IGNORECASE)


CHANGED = any_of(
    """unchanged|changed|stable|similar|new|increased|decreased|improved|improving|worse|worsened|worsening
    larger|smaller|more prominent|more pronounced|more conspicuous|more extensive|less dense|more dense
    more confluent|less confluent
    (?:better|less well|more poorly) (?:aerated|inflated|expanded|ventilated)
    less apparent|less perceptible|less evident|less prominent|less pronounced|less conspicuous|less extensive"""
)
ADVERB = any_of(
    """grossly|essentially|relatively|overall|largely|otherwise|not significantly|significantly|slightly|mildly
    minimally|moderately|markedly|substantially|somewhat|again|also|now|considerably|dramatically|progressively|further|appreciably|noticeably|only"""
)
HOW = f"(?:(?:{ADVERB}|probably|likely|perhaps|possibly|presumably|apparently|appreciably) )*"
_MEASURE = any_of(
    """size|appearance|extent|position|severity|number|density|opacity|conspicuity|volume|prominence|width|calib(?:er|re)
    degree|amount|configuration|distribution|alignment|location|course"""
)
IN_SIZE = rf"(?: in (?:the )?{_MEASURE}(?: (?:and|or) {_MEASURE})?)?"
NOTABLE = any_of("significant|interval|relevant|substantial|appreciable|major")
SEEN_WORD = any_of(
    "seen|noted|demonstrated|identified|visualized|present|appreciated|described|mentioned|reported|shown"
)
SEEN = f"(?:(?:not |better |well |also |as )*{SEEN_WORD} )"

# Words after "prior" that make it the patient's past and not an earlier picture: "prior granulomatous disease".
_PAST_WORD = any_of(
    r"""granulomatous|surgery|surgical|sternotomy|cabg|fractures?|infection|disease|tb|tuberculosis|trauma|injury|insult
    cholecystectomy|mastectomy|thoracotomy|lobectomy|resection|exposure|inflammat\w+|infarct\w*|procedure|replacement
    fusion|repair|graft|stent\w*|embolization|bypass|histoplasmosis|pneumonectomy|thyroidectomy|vertebroplasty"""
)
PAST = rf"(?! (?:\w+ ){{0,3}}{_PAST_WORD}\b)"
_WORDS = r"(?:[ ,]+(?!(?:the|there|is|are|was|has|no|with|and|but)\b)[\w/:-]+)"
PICTURE = any_of("study|studies|exams?|examinations?|radiographs?|films?|x-?rays?|images?|ct|scan")
EARLIER = (
    r"(?:at least |over )?(?:the |a |an |his |her |their |multiple |several |many )?(?:most )?(?:recent |immediate )?"
    rf"(?:(?:priors?|previous|preceding|earlier|older|last|comparison){PAST}{_WORDS}{{0,5}}"
    rf"|(?:old|{BLANK}) {PICTURE}{_WORDS}{{0,3}}|(?:outside|outpatient|admission|initial)(?: hospital)? {PICTURE}"
    rf"|(?:chest )?{PICTURE} (?:from|of|on|dated) {BLANK}|{BLANK})"
)
# Sides of one picture may be compared: "compared to the left".
OTHER_SIDE = r"(?! (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other))"

# No rule here concerns a sentence without one of these.
_TELLING = pattern(
    rf"{BLANK}|chang|stable|similar|compar|increas|decreas|redemonstrat|develop|remov|plac(?:ed|ement)|withdr|insert"
    r"|\b(?:new|now|prior|previous|preced|earlier|old|last|interval|since|improv|wors|persist|resol|again|repos|exchang"
    r"|progress|clear(?:ed|ing)|larger|smaller|more|less|today|interim|before|better|enlarg|advanc|replac|retract"
    r"|longer"
    r"|relative|reduc|recur|reaccum|reappear|extub|grow|grew|current|before|still|pre-?exist|continu|former"
    r"|yesterday|appeared"
    r"|originally|(?:up|down) from|received|taken|(?:which|that) (?:was|were)|as seen|little|minimal change"
    r"|withdraw|migrat|evacuat|drained|returned|having been|re-?expanded|reinflated|responded|evolved|regress"
    r"|lower lung vol|remains?$)"
)


def may_need_another(sentence: str) -> bool:
    """Tell whether a sentence has any word that may speak of an earlier study, or a blank."""
    return _TELLING.search(sentence) is not None
