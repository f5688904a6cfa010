"""Cuts a report into the sentences that are about the image, however it is set: prose, lines, Markdown, tables, JSON.

Enters text, written by a person or a model; leaves sentences. Marks of style become spaces or colons of the same
length, so that a cut in the plain text is a cut in the text as written. History, indication, comparison and technique
are left out: what they name is why the film was taken, or how, not what it shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

LONGEST = 600
"""Characters of the longest sentence that is read in one piece; radiologists stay far below."""

_STYLED = re.compile(r"[*_#`\"“”|‘’]")
_MARKS = str.maketrans({**dict.fromkeys('*_#`"“”', " "), "|": ":", "’": "'", "‘": "'"})
_BULLET = re.compile(r"^([ \t]*)\*(?= )", re.MULTILINE)
# A heading and what stands under it belong together: "### Effusion", and "None" on the next line.
_HEADING = re.compile(
    r"^([ \t]*(?:#+[^\n]*[^\n.!?]|\*\*[^*\n]*[^*\n.!?]\*\*[ \t]*(?=\n\s*[^\s*])))(\n\s*)(?=\S)", re.MULTILINE
)

# Each way begins with what it looks for, not with what is behind it: most characters are then passed over at once.
_BREAKS = re.compile(
    r"\s(?<=[.!?;]\s)(?<!\bdr\.\s)(?<!\bvs\.\s)(?<!approx\.\s)\s*|;\s*|\n\s*(?=\n|[-*•:]|\d+[.)])"
    r"|(?=[A-Z])(?:(?<=[a-z]\.)|(?<=[A-Z]{2}\.)(?=[A-Z]{2}))"
    r"|(?P<line>\n[ \t]*)(?=[A-Z]|[a-z][\w ]{0,40}:)"
)
_UNFINISHED = re.compile(
    r"(?:[,:]|\b(?:a|an|the|and|or|nor|of|in|on|at|to|for|with|without|by|from|no|not|is|are|was|were|has|have|been|be"
    r"|may|might|could|right|left|as|than|versus|vs|that|which|this|these|any|both|new|small|mild|moderate|large"
    r"|focal|acute))$",
    re.IGNORECASE,
)
_ANSWERED = re.compile(r"[:|\-–]\s*no$", re.IGNORECASE)
_WIDE = 60
"""Characters from which on a line may have been broken by its width, so that a capital may stand within a sentence."""
_CAPITALS_WITHIN = re.compile(r"[A-Z][A-Z0-9]+\b|Swan|Kerley|Hickman|Dob+hoff|Port|Greenfield")
_VALUE = re.compile(r"(?:none|no|absent|negative)\W*(?:\n|$)", re.IGNORECASE)

_ASIDE = (
    r"(?:(?:past |relevant )?(?:clinical|medical|patient) )?(?:history|indications?|information|context|question"
    r"|background)|clinical (?:data|details|presentation)|reasons? for (?:the )?"
    r"(?:exam(?:ination)?|study|visit|request)|comparisons?|technique"
)
_ASIDES = re.compile(
    rf"(?:^[ \t]*(?P<line>{_ASIDE})[ \t]*(?::|$)|[.;!?]\s+(?P<inline>{_ASIDE})[ \t]*:)\s*", re.IGNORECASE | re.MULTILINE
)
_ASIDE_WORDS = (
    *("history", "indication", "comparison", "technique", "reason", "clinical"),
    *("information", "context", "question", "background"),
)
"""One of these stands in every such heading; looking for them is quicker than for the headings."""
_NEXT_SECTION = re.compile(
    rf"\n[ \t]*(?=\n)|(?:\n[ \t]*|[.;!?]\s+|^)(?=(?i:{_ASIDE}|findings?|impressions?|conclusions?|opinion|report"
    r"|results?|interpretation|assessment|summary|lungs?|heart|pleura|mediastinum|bones|chest|devices|exam(?:ination)?"
    r"|procedure|views?)[ \t]*(?::|\n)|[A-Z][A-Z ,/&]{3,40}:)"
)
_FIRST_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n|$")


@lru_cache(maxsize=8)
def read_sentences(text: str) -> tuple[str, ...]:
    """Cuts a report into what is to be read; the last few are remembered, since both vocabularies read one text.

    Args:
        text: A report or a part of one.

    Returns:
        The sentences, plain, without the sections that are not about the image.
    """
    stripped = (sentence.strip(" \t\n;") for sentence in _cut(image_part(text)))
    return tuple(sentence for sentence in stripped if sentence)


@lru_cache(maxsize=8)
def image_part(text: str) -> str:
    """Leaves out history, indication, comparison and technique.

    Args:
        text: A report or a part of one.

    Returns:
        What is about the image, without marks of style.
    """
    plain = _plain(text)
    lower = plain.lower()
    if not any(word in lower for word in _ASIDE_WORDS):
        return plain
    aside = _ASIDES.search(plain)
    kept: list[str] = []
    at = 0
    while aside is not None:
        kept.append(plain[at : aside.start("line") if aside["line"] else aside.start("inline")])
        end = _NEXT_SECTION.search(plain, aside.end())
        # The stop before the next heading stays: without it, one that is left out too would not be known.
        at = end.start() if end else _past_first_sentence(plain, aside.end())
        aside = _ASIDES.search(plain, at)
    return "\n\n".join([*kept, plain[at:]])


def _past_first_sentence(text: str, start: int) -> int:
    """Finds where the sentence that begins here ends: as far as a section goes that no heading and no gap ends."""
    end = _FIRST_SENTENCE.search(text, start)
    return end.end() if end else len(text)


def split_sentences(text: str) -> list[str]:
    """Cuts a text where it is cut for reading, for showing which sentence states what.

    Args:
        text: A report or a part of one.

    Returns:
        The sentences with the space that follows them; joined they are the text.
    """
    pieces: list[str] = []
    at = 0
    for sentence in _cut(_plain(text)):
        for piece in bounded(sentence):
            pieces.append(text[at : at + len(piece)])
            at += len(piece)
    return pieces


def bounded(sentence: str) -> Iterator[str]:
    """Cuts a sentence without an end, as broken models write it; its time would grow with the square.

    Args:
        sentence: A sentence.

    Yields:
        Pieces of `LONGEST` characters at most, cut after a comma where there is one, else between words.
    """
    while len(sentence) > LONGEST:
        comma = sentence.rfind(",", LONGEST // 2, LONGEST) + 1
        seam = comma or sentence.rfind(" ", LONGEST // 2, LONGEST) + 1 or LONGEST
        yield sentence[:seam]
        sentence = sentence[seam:]
    if sentence:
        yield sentence


def _plain(text: str) -> str:
    """Takes the marks of style out of a text, character by character."""
    if not _STYLED.search(text):
        return text
    joined = _HEADING.sub(lambda match: f"{match[1]}:{' ' * (len(match[2]) - 1)}", text)
    return _BULLET.sub(r"\1-", joined).translate(_MARKS)


def _cut(text: str) -> Iterator[str]:
    """Cuts a plain text into sentences with the space that follows them."""
    ends = [
        match.end() for match in _BREAKS.finditer(text) if match.lastgroup is None or not _goes_on(text, match.start())
    ]
    for start, end in pairwise([0, *ends, len(text)]):
        yield text[start:end]


def _goes_on(text: str, end: int) -> bool:
    """Says whether a sentence goes on in the line after the one that ends here."""
    before = text[text.rfind("\n", 0, end) + 1 : end].rstrip()
    after = text[end : end + 40].lstrip()
    if _VALUE.match(after) or (_UNFINISHED.search(before[-12:]) and not _ANSWERED.search(before[-8:])):
        return True
    return len(before) >= _WIDE and _CAPITALS_WITHIN.match(after) is not None
