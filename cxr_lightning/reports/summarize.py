"""Findings and impression enter, one fluent summary leaves: what stage 1 learns to say about an image.

The impression repeats the findings' main points. A model trained on both in a row learns to stutter, so a sentence is
kept only where no other sentence says all of it, as surely and as much: the more specific one stays. A hedge says no
diagnosis, and one finding's severity is not another's.
"""

from __future__ import annotations

from cxr_lightning.reports.cleaning import clean_sentences
from cxr_lightning.reports.sentences import join_sentences
from cxr_lightning.reports.telling import PLACES, as_much, as_sure, telling_words
from cxr_lightning.study import Report

# No report has so many; to compare each with each would take the square of their number.
_MANY = 200


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
        True where every telling word of the sentence is in the other one and is stated, denied or left open as there,
        what is graded is graded so there, and the other speaks of one place only: "right effusion" is not said by
        "left effusion and right nodule".
    """
    words, known = telling_words(sentence), telling_words(earlier)
    if not words:
        return True
    if not words <= known or ("no" in words) != ("no" in known):
        return False
    if any(len(known & axis) > 1 and len(words & axis) == 1 for axis in PLACES):
        return False
    return sentence == earlier or (as_much(sentence, earlier) and as_sure(sentence, earlier))
