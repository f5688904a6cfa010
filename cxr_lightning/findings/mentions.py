"""What a report speaks of: every finding of the catalogue that a sentence names, how sure, where, and how severe.

Enters report text, written by a person or a model; leaves `Mention`s, from which the vocabularies (`located`,
`observations`) make their labels. Works sentence by sentence and remembers each, since the same sentence stands in
thousands of reports, and both vocabularies read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cxr_lightning.findings.catalogue import BY_NAME, CATALOGUE, TWO_IN_ONE
from cxr_lightning.findings.certainty import SIZES, Certainty, certainty, ends_a_list, open_cue
from cxr_lightning.findings.places import BOTH, Place, find_places, names_a_place
from cxr_lightning.findings.sentences import LONGEST, bounded, image_part, read_sentences
from cxr_lightning.findings.severity import Severity, severity


@dataclass(frozen=True, slots=True)
class Mention:
    """One finding as one sentence speaks of it.

    Attributes:
        finding: Name of the catalogue's row.
        places: Where; empty when the sentence does not say, or when such a finding is not located.
        certainty: Whether it is stated, denied or left open.
        severity: How severe; None when the sentence does not say.
    """

    finding: str
    places: frozenset[Place]
    certainty: Certainty
    severity: Severity | None


# Said in the plural without a side, effusions are those of both sides.
_BOTH_SIDES = frozenset({"effusions", "pneumothoraces"})
_WORDS = re.compile(r"\b(?:" + "|".join(f"(?P<{row.name}>{row.words})" for row in CATALOGUE) + r")\b")
_DASH = re.compile(r"\s+[-‐-―]+\s+|\s*—\s*")
_SPACES = re.compile(r"[\s\-‐-―_()\[\]]+")
_SIDE_AND_SIDE = re.compile(
    rf"(?<!on )(?<!on the )(?<!at the )\b((?:right|left)(?: sided| upper| mid| middle| lower| apical"
    rf"| basal)?),? and (?=(?:a |an )?(?:{SIZES} )*(?:right|left)\b)"
)
_ZONE_AND_ZONE = re.compile(r"\b(upper|mid|middle|lower)(?: lobe| zone)?,? and (?=(?:upper|mid|middle|lower)\b)")
_PREPOSITION = re.compile(r" (?:in|at|on|of|within|over|overlying|involving|projecting)\b")
_SEAM = re.compile(
    r",|\b(?:and|or|with|otherwise|plus|also|as well as|there (?:is|are)|but|without|causing|obscuring"
    r"|above|below|suggest\w*"
    r"|consistent|compatible|due to)\b"
)
_JOINED = re.compile(r" (?:and|or|with|without|but|plus|otherwise|as well as|causing|obscuring|above|below|due to)\b")
_GRADING = frozenset(
    "in size degree extent to of volume is are now which on at the right left side bilaterally".split()  # noqa: SIM905
)
"""Beside a grade behind a comma, words that name no other thing: "effusion, small in size, on the left"."""

_AHEAD = 8 * LONGEST
"""Characters in which a list that was cut may still be held together by an "or"."""


def find_mentions(text: str) -> Iterator[Mention]:
    """Reads every finding that a report speaks of, denied and uncertain ones too.

    Args:
        text: A report or a part of one; sections, line breaks and lists are understood.

    Yields:
        The mentions in reading order.
    """
    for sentence in read_sentences(text):
        if len(sentence) <= LONGEST:
            yield from _read_sentence(sentence)
        else:
            yield from _read_long(sentence)


def find_spans(words: str) -> list[tuple[str, int, int]]:
    """Finds the words by which a sentence names findings, whatever it says of them.

    Args:
        words: A sentence in lower case, hyphens as spaces.

    Returns:
        Rows of the catalogue, each with where its words begin and end.
    """
    return [(match.lastgroup or "", match.start(), match.end()) for match in _WORDS.finditer(words)]


def _read_long(sentence: str) -> Iterator[Mention]:
    """Reads a sentence in pieces; what governs the end of one ("no") governs the list that goes on in the next."""
    cue, at = "", 0
    for piece in bounded(sentence):
        at += len(piece)
        # An "or" in what follows holds the list together here too.
        joint = " or" if ends_a_list(sentence[at : at + _AHEAD]) else ""
        yield from _read_sentence(cue + piece + joint)
        cue = open_cue(_words(cue + piece + joint))


def forget() -> None:
    """Drops what is remembered, for measuring how fast unknown text is read."""
    _read_sentence.cache_clear()
    read_sentences.cache_clear()
    image_part.cache_clear()


@lru_cache(maxsize=1 << 16)
def _read_sentence(sentence: str) -> tuple[Mention, ...]:
    """Reads one sentence; remembered, since reports repeat each other's sentences."""
    words = _words(sentence)
    found = list(_WORDS.finditer(words))
    placed = bool(found) and names_a_place(words)
    mentions: list[Mention] = []
    for number, match in enumerate(found):
        mention = _read_mention(words, found, number, placed=placed)
        mentions.append(mention)
        if match.group() in TWO_IN_ONE:
            mentions.append(Mention(TWO_IN_ONE[match.group()], mention.places, mention.certainty, mention.severity))
    return tuple(mentions)


def _words(sentence: str) -> str:
    """Brings a sentence to lower case, hyphens to spaces, dashes to commas."""
    words = sentence.lower().strip(" -*•")
    if " -" in words or not words.isascii():
        words = _DASH.sub(", ", words)
    words = _SPACES.sub(" ", words).strip()
    if " and " not in words:
        return words
    # "And" within one place must not look like the seam between two findings.
    return _ZONE_AND_ZONE.sub(r"\1 / ", _SIDE_AND_SIDE.sub(r"\1 / ", words))


def _read_mention(words: str, found: list[re.Match[str]], number: int, *, placed: bool) -> Mention:
    """Judges, locates and sizes one match; it is located only in a sentence that names a place."""
    match = found[number]
    row = BY_NAME[match.lastgroup or ""]
    verdict = row.verdict or certainty(words, match.start(), match.end())
    beside = _Beside.of(words, found, number)
    places = _places(words, found, number, beside) if placed and row.detail != "none" else frozenset[Place]()
    if not places and match.group() in _BOTH_SIDES:
        places = frozenset(Place(side, "") for side in BOTH)
    return Mention(row.name, places, verdict, severity(beside.own) or severity(_graded(beside.tail)))


def _graded(tail: str) -> str:
    """Keeps of what follows a finding what may grade it: no other thing's size ("with mildly tortuous aorta")."""
    if _JOINED.match(tail):
        return ""
    if not tail.startswith(","):
        return tail
    item = tail[1:].partition(",")[0]
    return item if all(severity(word) or word in _GRADING for word in item.split()) else ""


@dataclass(frozen=True, slots=True)
class _Beside:
    """The words around one match, as near as they belong to it.

    Attributes:
        before: From the match before to this one.
        own: The match, and what stands directly before it.
        after: What follows, less what belongs to the next match.
        tail: What directly follows.
        joined: Whether a seam lies between this match and the next one.
    """

    before: str
    own: str
    after: str
    tail: str
    joined: bool

    @classmethod
    def of(cls, words: str, found: list[re.Match[str]], number: int) -> _Beside:
        """Cuts the words around the match of this number."""
        match = found[number]
        follows = number + 1 < len(found)
        before = words[found[number - 1].end() if number else 0 : match.start()]
        between = words[match.end() : found[number + 1].start() if follows else len(words)]
        seam = follows and _SEAM.search(between) is not None
        after = between
        # What belongs to the next finding ("... and a left effusion") must not locate this one.
        if follows and (seam or not _PREPOSITION.match(between)):
            after = between[: len(between) - len(_last_part(between))]
        return cls(before, _last_part(before) + " " + match.group(), after, _first_part(after), seam)


def _places(words: str, found: list[re.Match[str]], number: int, beside: _Beside) -> frozenset[Place]:
    """Locates one mention: by the words next to it, else by the rest of the sentence, nearest first."""
    match = found[number]
    own, tail = beside.own, beside.tail
    windows = [own, own + " " + tail, tail, own + " " + beside.after, beside.before + own]
    if number > 1:
        windows.append(words[found[number - 2].end() : match.start()])
    if number:
        windows.append(words[: match.start()])
    if beside.joined:
        windows.append(own + " " + _first_part(words[found[number + 1].end() :]))
    return _first_complete(windows, fine=BY_NAME[match.lastgroup or ""].detail != "side")


def _first_complete(windows: list[str], *, fine: bool) -> frozenset[Place]:
    """Takes the first window that says all that is needed, from the nearest to the widest; else a side alone."""
    sided = frozenset[Place]()
    for window in windows:
        places = frozenset(place for place in find_places(window) if place.side)
        complete = frozenset(place for place in places if place.zone or not fine)
        if complete:
            return complete
        sided = sided or places
    return sided


def _last_part(words: str) -> str:
    """Cuts off all before the last seam: what stands directly before a finding."""
    seams = list(_SEAM.finditer(words))
    return words[seams[-1].start() :] if seams else words


def _first_part(words: str) -> str:
    """Keeps what follows a finding up to the next seam; a comma that only adds a place is no seam."""
    for seam in _SEAM.finditer(words):
        if seam.start() > 1:
            return words[: seam.start()]
    return words
