"""A section's text enters, sentences that one study can support leave.

A model that sees one study cannot know the earlier one, cannot read a name that was blacked out, and need not be told
which views were taken. Such words are cut where a sentence survives the cut, and the sentence is dropped where it does
not. Cleaning only ever removes: no word in its result was not in the text. The aim is that of XrayGPT's data (prior
comparisons, view statements and blanks removed); the rules are our own, so that nobody's text has to leave the house.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from cxr_lightning.reports.asides import without_asides, without_opening
from cxr_lightning.reports.blanks import without_blanks
from cxr_lightning.reports.calls import without_calls
from cxr_lightning.reports.clauses import name_the_other, split_clauses
from cxr_lightning.reports.earlier import may_need_another
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
# A cut can leave a sentence hanging in the air: "which is", "This is markedly".
_LOOSE_END = re.compile(
    r"(?:[\s,]+(?:and|but|or|which|that|although|though|as|the|a|an|corresponding))+$", re.IGNORECASE
)
_HANGING = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|appears?|remains?|may|due|of|in|at|to|with|from|for|than|there"
    r"|within|overlying|likewise"
    r"|recommend|(?:marked|slight|mild|minimal|significant|essential|gross|relative|complete|partial)ly)$"
    r"|\b(?:its|their|his|her)(?: tips?)?$|^\w+,? if \w+$"
    r"|, the findings$|^(?:the|an?|this|these|it|there|patient|however|otherwise)$|^of\b|^(?:and|or|but)\b"
    r"|\b(?:is|are|appears?|remains?),? (?:although|though|but|or|while|except)\b|\bof (?:is|are)\b"
    r"|^(?:after|following|despite|given) (?:(?!\b(?:is|are|has|have)\b)[^,])*$"
    r"|^(?:change|chest|exam|examination|study|findings?)$",
    re.IGNORECASE,
)


# Nobody dictates a sentence so long: it is a table or a machine's output, and the patterns here would take minutes.
_LONGEST = 1000
# Radiologists repeat themselves: half of an archive's sentences were there before.
_REMEMBERED = 65_536


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
    sentences = split_sentences(text)
    named = (name_the_other(before, each) for before, each in zip(["", *sentences], sentences, strict=False))
    return [kept for sentence in named for kept in _clean_sentence(sentence)]


@lru_cache(maxsize=_REMEMBERED)
def _clean_sentence(sentence: str) -> tuple[str, ...]:
    """Clean a sentence: it stays one where all of it stays, else each clause that is left stands by itself."""
    if len(sentence) > _LONGEST:
        return ()
    kept = _taken(_STEPS, sentence)
    clauses = split_clauses(kept) if may_need_another(kept) else [("", kept)]
    pairs = zip(["", *(clause for _, clause in clauses)], clauses, strict=False)
    cleaned = tuple(
        _clean_clause(name_the_other(before, clause) if before else clause, kept=kept == sentence)
        for before, (_, clause) in pairs
    )
    if cleaned == tuple(clause for _, clause in clauses):
        cleaned = (kept,)
    # A sentence says something: two letters at least, not a leftover of punctuation or a lone number.
    return tuple(each for each in cleaned if sum(char.isalpha() for char in each) >= 2)


def _taken(steps: tuple[Callable[[str], str], ...], text: str) -> str:
    for step in steps:
        text = bare_sentence(step(text))
    return text


def _clean_clause(clause: str, *, kept: bool) -> str:
    """Clean a clause; where anything was cut from it (or before, from its sentence), it may not hang in the air."""
    cleaned = _taken(_CLAUSE_STEPS, clause)
    if kept and cleaned == clause:
        return cleaned
    cleaned = _LOOSE_END.sub("", cleaned)
    return "" if _HANGING.search(cleaned) else cleaned


def forget() -> None:
    """Forget the sentences that were cleaned: for measuring what text that never repeats costs."""
    _clean_sentence.cache_clear()


def _without_views(sentence: str) -> str:
    if _VIEW_STATEMENT.match(sentence) or _MADE_OF.search(sentence):
        return ""
    return _VIEW_VERB.sub("", _VIEW_OPENING.sub("", sentence))


_STEPS: tuple[Callable[[str], str], ...] = (without_calls, without_opening, _without_views, without_asides)
_CLAUSE_STEPS: tuple[Callable[[str], str], ...] = (without_priors, without_blanks)
