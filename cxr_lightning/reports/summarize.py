"""Findings and impression enter, one fluent summary leaves: what stage 1 learns to say about an image.

The impression repeats the findings' main points. A model trained on both in a row learns to stutter, so a sentence of
the impression is kept only where its words were not already said in one sentence of the findings.
"""

from __future__ import annotations

import re

from cxr_lightning.reports.cleaning import clean_sentences
from cxr_lightning.reports.sentences import join_sentences
from cxr_lightning.study import Report

_WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?")
# Words whose presence changes nothing about what is claimed. "no", "left" and "may" are not among them.
_EMPTY = frozenset(
    """a an the is are was were be been there this that these those of in on at to with and or for by as it its
    has have seen noted present identified evidence demonstrated visualized appears appear within sided side
    level findings finding again mild evident consistent""".split()  # noqa: SIM905
)
_SAME = {
    "radiograph": "chest",
    "oedema": "edema",
    "bilaterally": "bilateral",
    "mildly": "mild",
    "not": "no",
    "without": "no",
}


def summarize(report: Report) -> str:
    """Merge findings and impression into one text without repeats.

    Args:
        report: The report; other sections are not used.

    Returns:
        Prose, or the empty string where nothing is left to say.
    """
    told: list[str] = []
    for sentence in clean_sentences(report.findings) + clean_sentences(report.impression):
        if not any(said_in(sentence, earlier) for earlier in told):
            told.append(sentence)
    return join_sentences(told)


def said_in(sentence: str, earlier: str) -> bool:
    """Tell whether a sentence adds nothing to an earlier one.

    Args:
        sentence: The later sentence.
        earlier: The earlier sentence.

    Returns:
        True where every telling word of the sentence is in the earlier one, and both or neither deny something.
    """
    words, known = _telling(sentence), _telling(earlier)
    if not words:
        return True
    return words <= known and ("no" in words) == ("no" in known)


def _telling(sentence: str) -> frozenset[str]:
    words = (_SAME.get(word, word) for word in _WORD.findall(sentence.lower()))
    return frozenset(_stem(word) for word in words if word not in _EMPTY)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word
