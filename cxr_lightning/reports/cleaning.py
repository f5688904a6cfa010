"""A section's text enters, sentences that one study can support leave.

A model that sees one study cannot know the earlier one, cannot read a name that was blacked out, and need not be told
which views were taken. Such words are cut where a sentence survives the cut, and the sentence is dropped where it does
not. Cleaning only ever removes: no word in its result was not in the text. The aim is that of XrayGPT's data (prior
comparisons, view statements and blanks removed); the rules are our own, so that nobody's text has to leave the house.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cxr_lightning.reports.blanks import without_blanks
from cxr_lightning.reports.priors import without_priors
from cxr_lightning.reports.sentences import bare_sentence, join_sentences, split_sentences

_PICTURE = r"(?:views?|radiographs?|radiography|x-?rays?|films?|images?|projections?)"
_KIND = (
    r"(?:a|an|the|this|these|single|one|two|three|2|pa|ap|frontal|lateral|upright|supine|erect|semi-?upright"
    r"|semi-?erect|portable"
    r"|bedside|standard|chest|and|view|of)"
)
# Nothing but how the picture was taken: "PA and lateral views of the chest were obtained".
_VIEW_STATEMENT = re.compile(
    rf"^(?:{_KIND}[\s,/&]+)*(?:{_PICTURE}|exam(?:ination)?|study|portable|chest)(?:[\s,]+(?:of|the|chest|thorax"
    rf"|dated|from|x{{4,}}|_+))*"
    r"(?: (?:is|are|was|were|has been|have been)(?: also)? (?:obtained|provided|submitted|performed|reviewed"
    r"|acquired|available"
    r"|presented|taken)\b.*)?$",
    re.IGNORECASE,
)
_MADE_OF = re.compile(r"\b(?:exam(?:ination)?|study) consists? of\b", re.IGNORECASE)
_VIEW_OPENING = re.compile(
    rf"^(?:on|in) (?:{_KIND}\s+|current\s+)*(?:{_PICTURE}|exam(?:ination)?|study)(?: of the chest)?,\s*", re.IGNORECASE
)
_VIEW_VERB = re.compile(
    rf"^(?:{_KIND}[\s,/&]+)+(?:{_PICTURE}\s+)?(?:of the chest\s+)?"
    r"(?:again )?(?:demonstrates?|shows?|reveals?)\s+(?=\w)",
    re.IGNORECASE,
)
# Whom the radiologist called, and when.
_CALLED = re.compile(
    r"\b(?:discussed (?:with|by)|communicated|telephoned|paged|notified|informed|conveyed|d/w|reported to"
    r"|w(?:as|ere) called)\b"
    r"|\bdr\.? [a-z_]|\b(?:tele)?phone\b",
    re.IGNORECASE,
)
# A cut can leave a sentence hanging in the air: "which is", "This is markedly".
_LOOSE_END = re.compile(r"(?:[\s,]+(?:and|but|or|which|that|although|though|as|the|a|an))+$", re.IGNORECASE)
_HANGING = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|appears?|remains?|may|due|of|in|at|to|with|from|for|than|there"
    r"|within|overlying"
    r"|recommend|(?:marked|slight|mild|minimal|significant|essential|gross|relative|complete|partial)ly)$"
    r"|^(?:change|chest|exam|examination|study|findings?)$",
    re.IGNORECASE,
)


# Nobody dictates a sentence so long: it is a table or a machine's output, and the patterns here would take minutes.
_LONGEST = 1000


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
    return [kept for sentence in split_sentences(text) if (kept := _clean_sentence(sentence))]


def _clean_sentence(sentence: str) -> str:
    if len(sentence) > _LONGEST:
        return ""
    kept = sentence
    for step in _STEPS:
        kept = bare_sentence(step(kept))
    if kept != sentence:
        kept = _LOOSE_END.sub("", kept)
        if _HANGING.search(kept):
            return ""
    # A sentence says something: two letters at least, not a leftover of punctuation or a lone number.
    return kept if sum(char.isalpha() for char in kept) >= 2 else ""


def _without_calls(sentence: str) -> str:
    return "" if _CALLED.search(sentence) else sentence


def _without_views(sentence: str) -> str:
    if _VIEW_STATEMENT.match(sentence) or _MADE_OF.search(sentence):
        return ""
    return _VIEW_VERB.sub("", _VIEW_OPENING.sub("", sentence))


_STEPS: tuple[Callable[[str], str], ...] = (_without_calls, _without_views, without_priors, without_blanks)
