"""Findings and impression enter, one fluent summary leaves: what stage 1 learns to say about an image.

The impression repeats the findings' main points. A model trained on both in a row learns to stutter, so a sentence is
kept only where no other sentence says all of it: the more specific one stays.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.reports.cleaning import clean_sentences
from cxr_lightning.reports.sentences import join_sentences
from cxr_lightning.study import Report

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
# No report has so many; to compare each with each would take the square of their number.
_MANY = 200
_AXES = (
    frozenset({"left", "right", "bilateral"}),
    frozenset({"upper", "mid", "middle", "lower", "apical", "basilar", "base", "perihilar"}),
)


def summarize(report: Report) -> str:
    """Merge findings and impression into one text without repeats.

    Args:
        report: The report; other sections are not used.

    Returns:
        Prose, or the empty string where nothing is left to say.
    """
    sentences = clean_sentences(report.findings) + clean_sentences(report.impression)
    if len(sentences) > _MANY:
        return join_sentences(list(dict.fromkeys(sentences)))
    return join_sentences([sentence for place, sentence in enumerate(sentences) if not _repeated(place, sentences)])


def _repeated(place: int, sentences: list[str]) -> bool:
    """Tell whether another sentence says it too: an earlier one as much, or a later one more."""
    sentence = sentences[place]
    if any(said_in(sentence, earlier) for earlier in sentences[:place]):
        return True
    return any(said_in(sentence, later) and not said_in(later, sentence) for later in sentences[place + 1 :])


def said_in(sentence: str, earlier: str) -> bool:
    """Tell whether a sentence adds nothing to another.

    Args:
        sentence: The sentence that may be superfluous.
        earlier: The other sentence.

    Returns:
        True where every telling word of the sentence is in the other one, both or neither deny something, and the other
        speaks of one place only: "right effusion" is not said by "left effusion and right nodule".
    """
    words, known = _telling(sentence), _telling(earlier)
    if not words:
        return True
    if not words <= known or ("no" in words) != ("no" in known):
        return False
    return not any(len(known & axis) > 1 and len(words & axis) == 1 for axis in _AXES)


def forget_words() -> None:
    """Forget the sentences whose telling words are known: for measuring what text that never repeats costs."""
    _telling.cache_clear()


@lru_cache(maxsize=65_536)
def _telling(sentence: str) -> frozenset[str]:
    words = (_SAME.get(word, word) for word in _WORD.findall(sentence.lower()))
    return frozenset(_stem(word) for word in words if word not in _EMPTY)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word
