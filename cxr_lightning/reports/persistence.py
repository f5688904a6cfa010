"""A sentence that says how a thing changed enters, that it is there leaves: what grew, shrank or stayed is still there.

"The right effusion persists" and "has increased, now large" both show an effusion. What follows the word of change is
kept where it says how things are ("with the tube in place", "now large", "and measures 1.5 cm"). Nothing is stated of
what may be gone ("has resolved", "nearly cleared") or is always there ("heart size is unchanged").
"""

from __future__ import annotations

import re

from cxr_lightning.reports.blanks import BLANK
from cxr_lightning.reports.earlier import CHANGED, EARLIER, HOW, IN_SIZE, NOTABLE, any_of, pattern
from cxr_lightning.reports.neutral import is_neutral

_GROWS = any_of("increase|decrease|improve|worsen|enlarge|grow|progress|persist")
_MUCH = r"(?: (?:slightly|mildly|markedly|considerably|significantly|substantially|somewhat|minimally|dramatically))?"
_HAS_CHANGED = r"(?:changed|increased|decreased|improved|worsened|diminished)"
_HAS_COME = any_of(
    "developed|appeared|occurred|progressed|grown|enlarged|recurred|reaccumulated|reappeared|persisted|evolved|returned"
)
_WITHOUT_VERB = r"(?:increased|decreased|improved|worsened|larger|smaller|worse|unchanged|stable)"
_PERSISTS = any_of(
    rf"""(?:is|are|has been|have been|remains?|appears?(?: to be)?|looks?) (?:not )?{HOW}{CHANGED}{_MUCH}{IN_SIZE}
    (?:has|have) (?:also |since )*(?:not )?{HOW}(?:become {HOW}{CHANGED}|{_HAS_CHANGED}){_MUCH}{IN_SIZE}
    (?:has|have) {HOW}{_HAS_COME}(?: in size)?
    (?:still |also |again |now )?(?:persists?|recurs?|recurred|reaccumulated|reappeared|worsened)
    (?:has|have|is|are) not (?:yet |completely |fully |entirely |changed or )*(?:resolved|cleared)
    {HOW}{_WITHOUT_VERB}{IN_SIZE}(?=$|,| since| from| compared| to )
    (?:is|are|appears?) {HOW}(?:more|less) \w+(?= than (?:before|on {BLANK}|{EARLIER}))
    continues? to (?:\w+ly )?(?:{_GROWS}|be (?:present|seen|visible|noted|{CHANGED}))
    (?:shows?|demonstrates?|has|have) (?:no|little|minimal) (?:{NOTABLE} )*changes?
    (?:is|are) no(?:t any)? (?:larger|smaller|worse|better)
    remains?(?=$)"""
)
_PREDICATE = pattern(
    r"^(?P<there>there (?:is|are|has been) )?(?P<article>the |both )?(?P<what>\S.*?)(?: also| all| both"
    r"| each)?(?P<which>,? (?:which|that))?,? "
    rf"(?P<change>{_PERSISTS})(?![\w-])(?P<tail>.*)$"
)
# Two sides of this one picture: "more prominent on the left", "larger in the right lung".
_RELATIVE = pattern(r"\b(?:more|less|larger|smaller|worse)\b")
_OTHER_SIDE = pattern(
    r"^ (?:than|compared (?:to|with)|in comparison (?:to|with)|to|from) (?:on |in |at )?(?:the "
    r"|that on the )?(?:left|right|contralateral|opposite|other)\b"
)
_EXTENT_OF = pattern(
    r"^(?:(?:overall|the) )*(?:extent|degree|severity|size|amount|volume|appearance) of (?:the |an? )?"
)
_FROM_TO = pattern(r"^(?:from [\w -]+? )?to (?=\w)")
_FROM_SIZE = pattern(r" from \d[\d.]* ?[cm]m$")
_CHANGED_TOO = pattern(
    r"\b(and|but) (?:\w+ly )?(?:increased|decreased|improved|worsened|unchanged|stable) (?=on|in|at)"
)
_CONDITION = pattern(r"^(?:if|when|although|though|because|given|whether|while|should)\b")
_POINTS_BACK = pattern(r"^(?:this|these|those|it|they|its|their)\b")
_BUT_IT = pattern(r",?\s+(?:but|and|which|that)(?: (?:this|it|they|these))$")
# "Markings are increased" says how they are, and not since when.
_STANDING = pattern(r"\b(?:is|are|appears?) \w* ?(?:in|de)creased\b")
_LIVELY = pattern(
    r"\b(?:effusions?|pneumothora\w+|edema|atelectas[ie]s|consolidations?|cardiomegaly|infiltrates?|pneumonia)\b"
)
_COMPARED = pattern(
    r"^,?\s*(?:(?:(?:as |when |if )?compared|in comparison|relative) (?:to|with)\b(?: (?:the )?"
    rf"(?:{EARLIER}|yesterday|before))?|(?:ever )?since (?:(?!with |and |but |now |\d+ ?[cm]m)[^,\s]+\s?)*"
    rf"|(?:from|than|to|as)(?: on"
    rf"| in| at)? (?:{EARLIER}|before|yesterday)"
    r"|(?:following|after) [^,]*\b(?:removal|withdrawal|extubation)\b[^,]*"
    r"|in the interval|over the (?:interval|past|last) ?\w*|(?:in|by|on) (?:(?:overall|wall) )?(?:number|thickness"
    r"|width|height|size|diameter|density|conspicuity|severity"
    r"|degree|volume|prominence)\b"
    rf"|(?:from|on|in) {EARLIER}|today)(?=[\s,]|$)"
)
_CONJUNCTION = pattern(r"^(?:and|but|though|although|albeit|yet|while)\s+(?:(?:it|they)\s+)?(?=\S)")
_RELATIVE_PRONOUN = pattern(r"^(?:which|that)\s+")
_NOW = pattern(r"^(?:(?:(?:is|are|remains?) )?(?:now|currently|still|again|also) )+")
_SIZE = pattern(
    r"^(?:(?:at least|only|very|quite|relatively) )?(?:minimal|mild|moderate|marked|severe|trace|tiny|small|large"
    r"|massive"
    r"|complete|extensive|substantial|subtle|\d)"
)
_VERBAL = pattern(
    r"^(?:(?:likely|probably|possibly|most likely|again) )?(?:is|are|may|might|could|can|measures?|occup(?:y|ies)"
    r"|extends?"
    r"|ends?|terminates?|projects?|lies?|raises?|suggests?|represents?|remains?|causes?|obscures?|reflects?|involves?"
    r"|reaches|courses?|appears?|shows?|demonstrates?|cannot|should|must|has a\b|have a\b|contains?"
    r"|pass(?:es)?|descends?|crosses|traverses"
    r"|encases?|abuts?|invades?|compress(?:es)?|displaces?|fills?|overl(?:ies|ie|y))\b"
)
_HANGS_ON = pattern(
    r"^(?:with|without|in|at|on|within|along|over|overlying|involving|throughout|despite|bilaterally|due|near|adjacent"
    r"|surrounding|after|following|status post|from (?=edema|fluid|volume))\b"
)
_BESIDE = pattern(
    r"^(?:likely|possibly|probably|most|mostly|consistent|compatible|concerning|suspicious|worrisome|suggest\w+"
    r"|represent\w+"
    r"|reflect\w+|particularly|especially|predominantly|left|right|more|greater|worse|measuring|causing|obscuring"
    r"|extending|involving|terminating|ending|projecting|no|with|compress\w+|displac\w+|indicat\w+|secondary|accompanied"
    r"|associated)\b"
)
_TAKEN_BACK = pattern(
    r"\b(?:no longer|not\b|resol\w+"
    r"|clear(?:ed|ing|ance|s)?\b|gone|disappear\w*|remov\w+|absen\w+|never|nearly|almost"
    r"|no new|without (?:new|residual|remaining)|no (?:residual|remaining)|negative|normali[sz]\w+|extubat\w+|if"
    r"|doubt\w*)\b"
    r"|^(?:(?:and|but|is|are|now|to|within|appears?) )*normal\b"
)
_NOT_GONE = pattern(r"\b(?:not (?:yet |completely |fully |entirely )*|incompletely )(?:chang|resolv|clear)\w*")
_GONE = pattern(r"\b(?:no longer|resol(?:ved|ution)|disappear\w*|gone|completely clear\w*)\b")
_DENIED = pattern(r"\b(?:no|not|without|nor|neither|never|none|absen\w+|free of)\b")
_NOTHING_NEW = pattern(r"(?:with |and |but )?(?:no|without) new\b")
_WITH = pattern(r"^with (?:an? |the )?")

# "Improvement in pulmonary edema, now mild": that it is mild now says that it is there.
_NOW_SIZED = pattern(
    r"^(?:there (?:is|has been) )?(?:(?!no\b|not\b|without\b)\w+ ){0,2}(?:improvement|worsening|increase"
    r"|decrease|progression|reduction)"
    r" (?:in|of) (?:the )?(?:size of (?:the )?)?(?P<what>[^,]+), (?:which is )?now (?=(?:minimal|mild|moderate"
    r"|severe|trace|tiny|small|large)\b)"
)
# "Worsening of the left effusion": growth and shrinking are of what is there; resolution is not.
_FINDING = any_of(
    r"""effusions?|\w*pneumothora\w+|hemothora\w+|edema|atelectas[ie]s|consolidations?|cardiomegaly|infiltrates?
    pneumonia|nodules?|mass(?:es)?|collapse|congestion|opacit(?:y|ies)|opacifications?|emphysema|air|fluid|shift|disease"""
)
_OF_WHAT = r"(?: in (?:the )?(?:size|extent|number|severity|degree)(?: and (?:size|extent|number))?)? (?:of|in)"
_GROWTH = pattern(
    r"^(?:there (?:is|are|has been|have been|continues to be) )?(?:an? )?(?:(?!no\b|not\b|without\b|denies\b"
    r"|complete|near|almost)[\w-]+ ){0,2}?"
    rf"(?:(?:interval (?:\w+ )?|(?<=has been ))(?:enlargement|placement|insertion|worsening|progression|increase"
    rf"|decrease|recurrence|reaccumulation){_OF_WHAT} (?:the |an? )?(?=\w)"
    rf"|(?:worsening|progression|persistence|recurrence|reaccumulation|reappearance){_OF_WHAT} (?:the "
    rf"|an? )?(?:(?:size|extent|degree) of (?:the )?)?(?=\w)"
    rf"|(?:increase|decrease|reduction|improvement){_OF_WHAT} (?:the |an? )?(?:(?:size|extent|degree|amount"
    rf"|severity) of (?:the |an? )?)?(?=(?:(?!in\b|of\b|with\b|and\b|at\b|or\b)[\w-]+,? ){{0,4}}{_FINDING}\b))"
)
# "Left effusion decreased" needs no verb.
_BARE = pattern(rf"^{HOW}{_WITHOUT_VERB}")
_SAME = pattern(r"\b(?:unchanged|stable)\b")
_ENDS_IN_FINDING = pattern(rf"\b{_FINDING}$")
_NO_CHANGE_IN = pattern(
    rf"^(?:there (?:is|are|has been|have been) )?(?:no|little|minimal|(?:is )?without) (?:(?:{NOTABLE}|overall"
    rf"|further|definite|gross|if any) )*changes? (?:in|of|to) (?:the )?"
    r"(?:(?:appearance|size|extent|position|distribution|severity|amount|degree|location|configuration|course)"
    r"(?: (?:and|or) (?:appearance|size|extent|position|severity))? of )?(?:the |an? )?(?P<what>\w.*)$"
)
# "No change in pneumothorax or fluid" does not say which of them there is.
_EITHER = pattern(r"\b(?:or|nor|and/or)\b|/")

_DEVICE = any_of(
    r"""\b(?:tubes?|catheters?|lines?|piccs?|drains?|dobb?hoff|pacemakers?|devices?|leads?|ports?|sutures?|wires?|sheaths?|uvc|uac)\b
    \b(?:grafts?|clips?|hardware|filters?|coils?|plates?|screws?|rods?|prosthes[ie]s|ett|ngt?|ogt?|swan\S*|cannulas?)\b
    \b(?:pigtail|stent|balloon pump|iabp)\b"""
)
_MOVED = pattern(
    rf"^(?P<what>(?:(?!\b(?:no|not|without)\b)[^,])*{_DEVICE}(?:(?!\b(?:is|are)\b)[^,]){{0,40}}?) (?:has"
    rf"|have) (?:now |also |since |been |slightly |\w+ly )*"
    r"(?P<how>migrated|removed and replaced|placed|inserted|advanced|repositioned|withdrawn|retracted|pulled back"
    r"|exchanged|replaced)(?: \w+ly)?(?: (?:by|approximately|about) [\w.]+ ?[cm]m)?(?P<tail>.*)$"
)
_INTO = pattern(
    r"^(?:in|into|to|within) (?:the )?(?:[\w-]+ ){0,4}?(?:stomach|fundus|antrum|duodenum|jejunum|svc|ivc|vena cava"
    r"|atrium|ventricle|(?:cavo|atrio)\w+|vein|artery|esophagus|trachea|bronchus|pleural space|apex|base)\b"
)
_TIP = pattern(r"^(?:the )?(?:distal |side )?(?:tip|port|side ?port|end)s?\b|\btips?$")
_LIES = pattern(r"^(?:coiled|looped|kinked|curled|folded|mal-?positioned|misplaced|positioned|located)\b")
_THROUGH = pattern(r"^(?:in|into|through|via) ")
_ARTICLE = pattern(r"^the ")
_REPLACED_BY = pattern(
    r"^.*\b(?:has|have) been (?:\w+ly )?(?:removed and )?(?:replaced|exchanged) (?:by|with|for) (?=\w)"
)
_RECEIVED = pattern(
    r"^(?:the )?patient has (?:now |also |since )*(?:received|developed|undergone (?:interval )?(?:placement"
    r"|insertion) of) (?:the )?(?=\w)|^interval intubation,? with (?:the )?(?=\w)"
)


# What is seen after a removal: "interval removal of the chest tube with no pneumothorax".
_REMOVED_WITH = pattern(
    r"^(?:(?:there has been )?(?:interval )?(?:(?:removal|withdrawal|resolution) of [^,]*?|extubation)"
    r"|[^,]*\b(?:has|have) been (?:removed|extubated)),? with"
    r" (?=(?:no|an?|the|tiny|small|moderate|large|mild|severe|new|(?:persist|worsen|increas|decreas|improv)\w*)\b)"
)


def what_persists(sentence: str) -> tuple[str, ...]:
    """Turn a sentence on a change into what it says is there.

    Args:
        sentence: One sentence, without its opening and asides.

    Returns:
        It in the sentence's own words, the fullest first; the sentence itself, where it tells of no change; nothing,
        where it does and says not what is there.
    """
    sentence = _NOW_SIZED.sub(r"\g<what>, ", sentence)
    sentence = _REMOVED_WITH.sub("", _RECEIVED.sub("", sentence))
    unchanged = _NO_CHANGE_IN.match(sentence)
    if unchanged:
        return _not_changed(sentence, unchanged["what"])
    moved = _MOVED.match(sentence)
    if moved:
        return _where_it_is(moved)
    grown = _GROWTH.sub("", sentence)
    if grown != sentence:
        return () if _GONE.search(grown) or is_neutral(grown) else (grown,)
    return _predicated(sentence)


def _not_changed(sentence: str, what: str) -> tuple[str, ...]:
    if _EITHER.search(what):
        return ()
    if not is_neutral(what):
        return (what,)
    return (what.partition(" with ")[2] or sentence,)


def _where_it_is(moved: re.Match[str]) -> tuple[str, ...]:
    """Say of a device that was moved where it is now; of one withdrawn, only where its place is told."""
    replaced = _REPLACED_BY.sub("", moved[0])
    if replaced != moved[0]:
        return (replaced,)
    tail = _uncompared(moved["tail"]).strip(" ,")
    if _TAKEN_BACK.search(tail) or _DENIED.search(tail):
        return ()
    after = _NOW.sub("", _CONJUNCTION.sub("", tail))
    if after and (_VERBAL.match(after) or after.lower().startswith(("with ", "terminating", "ending"))):
        return (f"{moved['what']} {after}", moved["what"])
    if _SIZE.match(after):
        return (f"{moved['what']}, {after}", moved["what"])
    if _LIES.match(after):
        return (f"{_ARTICLE.sub('', moved['what'])} {after}",)
    how = moved["how"].lower()
    if _INTO.match(after) or (how in ("placed", "inserted") and _THROUGH.match(after)):
        return (f"{_ARTICLE.sub('', moved['what'])} {after}", moved["what"])
    if _TIP.search(moved["what"]):
        return ()
    gone = how in ("withdrawn", "retracted", "pulled back") or (how in ("placed", "inserted") and after)
    return () if gone else (_ARTICLE.sub("", moved["what"]),)


def _predicated(sentence: str) -> tuple[str, ...]:
    """Take what changed from before the word of change, and how it is from behind it."""
    predicate = _PREDICATE.match(sentence)
    if predicate and _BARE.match(predicate["change"]) and not _ENDS_IN_FINDING.search(predicate["what"]):
        return (sentence,)
    if predicate is None or _CONDITION.match(sentence) or _OTHER_SIDE.match(predicate["tail"]):
        return (sentence,)
    what, change, tail = _named(predicate["what"]), predicate["change"], _uncompared(predicate["tail"])
    if tail == predicate["tail"]:
        # "More prominent on the left", "markings are increased" tell of this picture alone.
        beside = _RELATIVE.search(change) and _HANGS_ON.match(tail.strip())
        if beside or (_STANDING.search(change) and not _LIVELY.search(what)):
            return (sentence,)
    if _DENIED.search(what) and _SAME.search(change) and _BARE.match(change) and not tail:
        return ((predicate["there"] or "") + what,)  # "No effusion, unchanged" denies it as much
    if is_neutral(what):
        return _neutral(sentence, tail.strip(" ,"))
    if _DENIED.search(what):
        return ()
    whole = predicate["which"] or (predicate["there"] and _BARE.match(change))
    there = (predicate["there"] or "") + (predicate["article"] or "") if whole else ""
    said = tuple(there + each for each in _with_tail(what, (predicate["article"] or "").strip(), tail))
    # What was named before need not be named again; what is told of it may.
    return tuple(each for each in said if each != what) if _POINTS_BACK.match(what) else said


def _named(what: str) -> str:
    """Cut what is always there from behind what changed: "heart enlarged, mediastinal contours"."""
    what = _BUT_IT.sub("", what.rstrip(" ,"))
    extent = _EXTENT_OF.sub("", what)
    if not is_neutral(extent):
        what = extent
    head, _, last = what.rpartition(", ")
    return head if head and is_neutral(last) and not is_neutral(head) else what


def _uncompared(tail: str) -> str:
    shorter = _COMPARED.sub("", tail)
    while shorter != tail:
        tail, shorter = shorter, _COMPARED.sub("", shorter)
    return tail


def _neutral(sentence: str, tail: str) -> tuple[str, ...]:
    """Of what is always there only what comes with it is told."""
    if not tail:
        return ()
    return (_WITH.sub("", tail) if _WITH.match(tail) and not _TAKEN_BACK.search(tail) else sentence,)


def _with_tail(what: str, article: str, tail: str) -> tuple[str, ...]:
    """Join what is there and what is said of it behind the word of change."""
    comma = tail.lstrip().startswith(",")
    rest = tail.strip(" ,")
    if not rest:
        return (what,)
    if _TAKEN_BACK.search(_NOT_GONE.sub("", rest)) or rest.startswith("into "):
        # "is unchanged, no new opacity" still leaves what is unchanged.
        return (what,) if _NOTHING_NEW.match(rest) else ()
    become = _FROM_TO.sub("", rest)
    if become != rest and not _SIZE.match(become):  # "progressed to ARDS": it is another thing now
        return ()
    rest = _FROM_SIZE.sub("", become)
    changed_too = _CHANGED_TOO.search(rest)
    if changed_too and changed_too[1].lower() == "but":  # "improved on the right but worsened on the left": on both
        return (what,)
    rest = _CHANGED_TOO.sub(r"\1 ", rest)
    rest, joined = _CONJUNCTION.subn("", rest)
    said = _RELATIVE_PRONOUN.sub("", rest)
    rest = _NOW.sub("", said)
    if _SIZE.match(rest):
        return (f"{what}, {rest}", what)
    if _VERBAL.match(rest):
        return (f"{article} {what} {rest}".strip(), what)
    if _HANGS_ON.match(rest):
        return (f"{what} {rest}", what)
    if (comma or joined or said != rest) and _BESIDE.match(rest):
        return (f"{what}, {rest}", what)
    return (what,)
