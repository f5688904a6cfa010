"""A sentence enters, its telling words leave: which they are, how sure each is, and what is graded how.

Two sentences that share their words need not say the same: "may be pneumonia" and "pneumonia" differ in how sure they
are, "mild cardiomegaly with severe edema" and "mild edema" in what is mild.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty
from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.findings.sentences import LONGEST
from cxr_lightning.findings.severity import severity

_WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?")
# Words whose presence changes nothing about what is claimed. "no", "left" and "may" are not among them.
_EMPTY = frozenset(
    """a an the is are was were be been there this that these those of in on at to with and or for by as it its
    has have seen noted present identified evidence demonstrated visualized appears appear within sided side
    level findings finding again evident consistent""".split()  # noqa: SIM905
)
_SAME = {
    "radiograph": "chest",
    "oedema": "edema",
    "bilaterally": "bilateral",
    "mildly": "mild",
    "not": "no",
    "without": "no",
}
PLACES = (
    frozenset({"left", "right", "bilateral"}),
    frozenset({"upper", "mid", "middle", "lower", "apical", "basilar", "base", "perihilar"}),
)
"""Words that say where, by what they tell apart: sides, and heights."""

_DASH = re.compile(r"[-‐-―_()\[\]]")
# Where what is said of one thing ends, and its severity with it: at a joint, or where the next severity is named.
_JOINT = re.compile(
    r"[,;:]|\b(?:and|with|but|while|whereas|however|plus|as well as|in addition to|accompanied by|due to|causing)\b"
    r"|(?<!\bto )(?<!\bto-)(?=\b(?:tiny|trace|minimal|minor|small|mild|slight|subtle|faint|moderate|large|severe|marked"
    r"|massive|extensive|huge)(?:ly)?\b)"
)


@lru_cache(maxsize=65_536)
def telling_words(sentence: str) -> frozenset[str]:
    """Give the words of a sentence that claim something, in one form each.

    Args:
        sentence: A sentence.
    """
    return frozenset(word for match in _WORD.finditer(sentence.lower()) if (word := _form(match[0])))


def forget_words() -> None:
    """Forget the sentences whose telling words are known: for measuring what text that never repeats costs."""
    for remembered in (telling_words, _sureness, _grades):
        remembered.cache_clear()


def as_sure(sentence: str, other: str) -> bool:
    """Tell whether what a sentence states, denies or leaves open, another states, denies or leaves open.

    Args:
        sentence: The sentence.
        other: The other, which has all of its telling words.

    Returns:
        False too where a sentence is too long to be read.
    """
    if max(len(sentence), len(other)) > LONGEST:
        return False
    missing = _sureness(sentence) - _sureness(other)
    if not missing or any(sure is not Certainty.PRESENT for _, sure in missing):
        return not missing
    # "Right shoulder" is said by "right shoulder negative": it states nothing that could be denied.
    denied = {(word, Certainty.ABSENT) for word, _ in missing} <= _sureness(other)
    return denied and next(find_mentions(sentence), None) is None


def as_much(sentence: str, other: str) -> bool:
    """Tell whether another sentence gives every severity of a sentence to the same thing.

    Args:
        sentence: The sentence.
        other: The other.
    """
    return all(any(grade <= known for known in _grades(other)) for grade in _grades(sentence))


@lru_cache(maxsize=16_384)
def _sureness(sentence: str) -> frozenset[tuple[str, Certainty]]:
    words = _DASH.sub(" ", sentence.lower())
    return frozenset(
        (word, certainty(words, *match.span())) for match in _WORD.finditer(words) if (word := _form(match[0]))
    )


@lru_cache(maxsize=16_384)
def _grades(sentence: str) -> frozenset[frozenset[str]]:
    """Return the telling words of each part of a sentence that has a severity, without those that say where."""
    parts = _JOINT.split(sentence.lower())
    return frozenset(telling_words(part).difference(*PLACES) for part in parts if severity(part) is not None)


def _form(word: str) -> str:
    """Bring a word into the form in which words are compared; the empty string where it claims nothing."""
    word = _SAME.get(word, word)
    if word in _EMPTY:
        return ""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word
