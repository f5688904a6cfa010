"""Report text as it may stand in a prompt: nothing in it can close the marks around it, or be a control word."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from functools import lru_cache

_EMPTY = "(this report is empty)"
_COMPARED = ((re.compile(r"<\s*=\s*(?=\d)"), "at most "), (re.compile(r">\s*=\s*(?=\d)"), "at least "),
             (re.compile(r"<\s*(?=\d)"), "less than "), (re.compile(r">\s*(?=\d)"), "more than "))  # fmt: skip
_ROUND = str.maketrans("<>[]", "()()")
"""Angles open marks and words like <|im_end|>; square brackets open words like [/INST]."""


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Returns a report as a judge reads it.

    White space, by which a judge might tell who wrote, is evened out; look-alikes of letters become those (NFKC), what
    cannot be seen goes, and brackets become round, or words where they compare: "<5 mm" is "less than 5 mm".

    Args:
        text: The report.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if not text.isprintable():
        text = "".join(each for each in text if each.isprintable())
    for sign, words in _COMPARED:
        text = sign.sub(words, text)
    return " ".join(text.translate(_ROUND).split()) or _EMPTY


def mark_of(*texts: str | None) -> str:
    """Returns digits that the writer of one report cannot know, and that are the same whenever this is asked.

    Args:
        *texts: All that stands between the marks.
    """
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]
