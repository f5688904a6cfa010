"""A section's text enters, sentences that one image can support leave.

A model that sees one study cannot know the earlier one, cannot read a name that was blacked out, and need not be told
which views were taken. Such words are cut where a sentence survives the cut, and the sentence is dropped where it does
not. Cleaning only ever removes: no word in its result was not in the text. The aim is that of XrayGPT's data (prior
comparisons, view statements and blanks removed); the rules are our own, so that nobody's text has to leave the house.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cxr_lightning.reports.sentences import bare_sentence, join_sentences, split_sentences

_I = re.IGNORECASE
_PRIOR_STUDY = (
    r"(?:the |a |an |his |her |their )?(?:most )?(?:recent |immediate )?(?:prior|previous|preceding|earlier|old(?:er)?|last|comparison)"
    r"(?:[ ,]+(?!(?:the|there|is|are|was|has|no)\b)[\w/-]+){0,4}"
)
_HEDGE = r"(?:grossly |essentially |relatively |overall |largely |not significantly |significantly |otherwise )?"

# A comparison that opens a sentence, up to its comma: "As compared to the previous radiograph, there is ...".
_OPENING = re.compile(
    r"^(?:(?:as |when |in |by |with )?(?:compared|comparison)\b[^,]*|since [^,]*|in the interval|again|as before|once again"
    r"|(?:unchanged|stable) (?:from|since)[^,]*),\s*",
    _I,
)
# A comparison that ends a sentence: ", unchanged from the prior study", "compared to ___", "since the previous exam".
_CLOSING = re.compile(
    rf"(?:,|\(|\s-+)?\s*(?:(?:which|that) (?:is|are|appears?) )?{_HEDGE}(?:(?:unchanged|stable|similar|new|increased|decreased"
    r"|improved|worse|worsened|larger|smaller)(?: in (?:appearance|size|extent|position))?\s*)?"
    rf"(?:as )?(?:\b(?:compared?|relative|comparison) (?:to|with)|\b(?:from|since|than|to|as on|as in|as|on)) {_PRIOR_STUDY}"
    r"(?: (?:from|dated|of|on|at) [\w_/ :,-]+)?\)?$",
    _I,
)
_CLOSING_WORD = re.compile(
    rf",\s*{_HEDGE}(?:(?:is|are) )?(?:unchanged|stable|similar|new|as before|again|increased|decreased|improved|worsened)$", _I
)
_COMPARED_TO_BLANK = re.compile(r",?\s*(?:as )?(?:compared|in comparison) (?:to|with) (?:_{2,}|X{4,})[\w_/ -]*$", _I)

# "The left effusion is unchanged" still says that there is an effusion; "heart size is unchanged" says nothing.
_PREDICATE = re.compile(
    rf"^(?:the |there (?:is|are|has been) )?(?P<what>.+?),? (?:is|are|has|have|remains?|appears?)(?: been| again)? {_HEDGE}"
    r"(?:slightly |mildly |minimally |markedly |somewhat )?(?:unchanged|stable|similar|new|increased|decreased|improved|worsened"
    r"|larger|smaller)(?: (?:in|since|from|compared)\b.*)?$",
    _I,
)
_NEUTRAL = re.compile(
    r"\b(?:size|silhouettes?|contours?|appearance|positions?|hearts?|lungs?|mediastinum|volumes?|structures?|exam(?:ination)?"
    r"|study|findings?|chest|hil(?:a|ar|um)|aorta|spine|bones?|osseous|vasculature|trachea|diaphragms?|remainder|aeration"
    r"|inspiration|process|there|it|this|which|opacification pattern)\b",
    _I,
)
# Words of change that qualify a noun and can go without loss: "stable mild cardiomegaly", "is again seen".
_ADJECTIVE = re.compile(
    r"\b(?:(?:un(?:changed)|stable|persistent|persisting|known|chronic and stable|redemonstrated|worsening|improving|improved"
    r"|increasing|decreasing|previously (?:seen|noted|described))(?:,? and)?\s+(?=[a-z])|again (?=seen|noted|demonstrated|visualized|identified|shown)"
    r"|newly (?=developed|seen|appeared)?|new (?=[a-z])|interval development of |interval appearance of )",
    _I,
)
_DENIED_CHANGE = re.compile(r"\b(?:no|without|not|nor|any)\b[^.]*\b(?:new|change|interval|worsening|progress\w*)\b", _I)
_STILL_PRIOR = re.compile(
    r"\b(?:prior(?:s|ly)?|previous(?:ly)?|compar\w+|interval|unchanged|stable|since|earlier|no longer|resolved|resolution"
    r"|again|remains?|persist\w*|improve\w*|worsen\w*|progress\w*|(?:has|have) (?:been )?(?:\w+ly )?(?:increased|decreased|developed|cleared"
    r"|removed|placed|advanced|withdrawn|retracted|enlarged)|better (?:seen|assessed|evaluated|demonstrated)|change[ds]?|new(?:ly)?"
    r"|follow-?up|similar to|redemonstrat\w+)\b",
    _I,
)

_VIEWS = r"(?:views?|radiographs?|x-?rays?|films?|images?|projections?|exam(?:ination)?|study|portable|chest)"
_VIEW_STATEMENT = re.compile(
    rf"^(?:(?:a|an|the|single|two|three|pa|ap|frontal|lateral|upright|supine|erect|semi-?\w+|portable|bedside|chest|and|&|,|view|of)[\s,/]+)*"
    rf"{_VIEWS}(?:[\s,]+(?:of|the|chest|thorax|\w+))?\s*(?:(?:is|are|was|were|has been|have been) (?:obtained|provided|submitted|performed"
    rf"|reviewed|acquired|available|presented|taken)\b.*)?$",
    _I,
)
_VIEW_OPENING = re.compile(
    rf"^(?:on|in) (?:the |this )?(?:single |pa |ap |frontal |lateral |portable |supine |upright |current )*{_VIEWS}(?: of the chest)?,\s*",
    _I,
)
_VIEW_VERB = re.compile(
    r"^(?:the |this |a |single |two )?(?:(?:pa|ap|frontal|lateral|portable|supine|upright|semi-?upright|bedside|and|single|chest)\s+)+"
    r"(?:views?|radiographs?|x-?rays?|films?|images?)(?: of the chest)?(?: again)? (?:demonstrates?|shows?|reveals?)\s+(?=\w)",
    _I,
)
_CALLED = re.compile(
    r"\b(?:discussed|communicated|telephoned|paged|notified|informed|conveyed|d/w|reported to|were called|was called) ?(?:by|with|to|at|via)?\b"
    r"|\bdr\.? |\b(?:phone|telephone)\b",
    _I,
)

_BLANK = r"(?:_{2,}|\bX{4,}\b|\[\*\*.*?\*\*\])"
_ANY_BLANK = re.compile(_BLANK)
_AGE = re.compile(rf"{_BLANK}[- ]?(?:year|yr|y)s?[- ]?(?:old|o)\b\s*", _I)
_DATED = re.compile(rf"\s*\(?\b(?:dated|performed on|from|on|at|of|in) (?:{_BLANK}[\s,/:-]*)+(?:a\.?m|p\.?m|hours?)?\.?\)?(?=$|[,;.\s)])", _I)
_XRAY = re.compile(rf"\s*\bx-\s*{_BLANK}", _I)
# After these a blank was a noun or a verb, and before those it was one: without it the sentence would limp.
_NOUN_BEFORE = frozenset("no of a an and or the with by to for in from at left right than as is are".split())
_LIMPS_BEFORE = frozenset(
    "of and or is are was were be in on the to with at for by from has have as that than which may can could normal clear intact "
    "unremarkable stable appear appears remain remains seen noted within without but there overlying".split()
)


def clean(text: str) -> str:
    """Clean one section and write it as prose.

    Args:
        text: Findings or impression, as a report has them.

    Returns:
        Prose whose words all were in the text; empty where no sentence survives.
    """
    return join_sentences(clean_sentences(text))


def clean_sentences(text: str) -> list[str]:
    """Clean one section, sentence by sentence.

    Args:
        text: Findings or impression, as a report has them.

    Returns:
        What is left of each sentence, without those of which nothing is.
    """
    kept = []
    for sentence in split_sentences(text):
        for step in _STEPS:
            sentence = bare_sentence(step(sentence))
        # A sentence says something: two letters at least, not a leftover of punctuation or a lone number.
        if sum(char.isalpha() for char in sentence) >= 2:
            kept.append(sentence)
    return kept


def _without_calls(sentence: str) -> str:
    return "" if _CALLED.search(sentence) else sentence


def _without_views(sentence: str) -> str:
    if _VIEW_STATEMENT.match(sentence):
        return ""
    return _VIEW_VERB.sub("", _VIEW_OPENING.sub("", sentence))


def _without_priors(sentence: str) -> str:
    shorter = _COMPARED_TO_BLANK.sub("", _OPENING.sub("", sentence))
    shorter = _CLOSING_WORD.sub("", _CLOSING.sub("", shorter).rstrip(" ,"))
    if _DENIED_CHANGE.search(shorter):
        # "No new consolidation" does not say that there is none.
        return ""
    predicate = _PREDICATE.match(shorter)
    if predicate:
        shorter = "" if _NEUTRAL.search(predicate["what"]) else predicate["what"]
    shorter = _ADJECTIVE.sub("", shorter)
    return "" if _STILL_PRIOR.search(shorter) else shorter


def _without_blanks(sentence: str) -> str:
    shorter = _AGE.sub("", _DATED.sub("", _XRAY.sub("", sentence)))
    while blank := _ANY_BLANK.search(shorter):
        before, after = shorter[: blank.start()].split(), shorter[blank.end() :].split()
        if not _can_go(before, after):
            return ""
        shorter = " ".join(before + after)
    return shorter


def _can_go(before: list[str], after: list[str]) -> bool:
    """Tell whether a blank qualified the word after it and can be cut."""
    if not after or not after[0][0].isalpha() or after[0].lower().strip(".,") in _LIMPS_BEFORE:
        return False
    return not before or before[-1][-1] not in "-/("


_STEPS: tuple[Callable[[str], str], ...] = (_without_calls, _without_views, _without_priors, _without_blanks)
