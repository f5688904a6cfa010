"""Whether a text says of a chest that it is sound, in so many words: silence is not a normal report, nor is a refusal.

Enters plain text; leaves yes or no. Of "chest", of "Whiteout of the left lung" and of "I cannot interpret
radiographs" nothing is known, so none of them may count as a report without findings.
"""

from __future__ import annotations

import re

_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial)\b|\blanguage model\b|\bi(?:'m| am) (?:sorry|unable|not able)\b"
    r"|\b(?:cannot|can't|can not|could not|unable to|not able to|won't|not possible to)(?: \w+){0,2}"
    r" (?:interpret|analy[sz]e|provide|view|access|diagnose|help|assist|describe|comply|offer|process)\b",
    re.IGNORECASE,
)
_REFUSAL_WORDS = ("as a", "model", "i'm", "i am", "can", "could not", "unable", "not able", "won't", "not poss")
"""One of these stands in every refusal; looking for them is quicker than for the refusal."""
_UNSOUND = re.compile(
    r"(?:\b(?:not|never|neither|no longer)|n't)(?: \w+){0,2} (?:clear\b(?! whether)|normal\b|unremarkable\b)"
    r"|\bwhite ?d? ?out"
    r"|\bopaque (?:lung|hemithorax)|\babnormal (?:chest|stud|film|radiograph|exam|x ?-?ray|lung|heart)"
    r"|\b(?:chest|stud(?:y|ies)|film|radiograph|exam|examination|lungs?|heart) (?:is|are|looks?|appears?) abnormal",
    re.IGNORECASE,
)
_UNSOUND_WORDS = ("not ", "n't", "never", "neither", "longer", "white", "opaque", "abnormal")
_DENIED = re.compile(r"\b(?:no|without|not|nor)\b[^.;\n]*$", re.IGNORECASE)
_SOUND = re.compile(
    r"\b(?:clear(?! that\b| evidence\b| whether\b)|normal|unremarkable|negative|within normal limits"
    r"|(?:no|without|free of|nor)\b[^.;\n]{0,80}?\b(?:abnormal|disease|process|findings?\b|patholog|infiltrat|change"
    r"|injur|lesion|air ?space))",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Says whether a text declines to read the image.

    Args:
        text: A text without marks of style.
    """
    lower = text.lower()
    return any(word in lower for word in _REFUSAL_WORDS) and _REFUSAL.search(text) is not None


def is_unsound(text: str) -> bool:
    """Says whether a text calls the chest abnormal without saying how ("the lungs are not clear").

    Args:
        text: A text without marks of style.
    """
    lower = text.lower()
    if not any(word in lower for word in _UNSOUND_WORDS):
        return False
    return any(
        not _DENIED.search(text[max(0, match.start() - 200) : match.start()]) for match in _UNSOUND.finditer(text)
    )


def is_sound(text: str) -> bool:
    """Says whether a text states that something is normal, or that nothing is wrong.

    Args:
        text: A text without marks of style.
    """
    return _SOUND.search(text) is not None
