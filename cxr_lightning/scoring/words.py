"""How a text becomes the words that overlap is counted in: two ways, each that of the score's own literature.

`words_of` is rouge-score's (runs of ASCII letters and digits), used by ROUGE, METEOR and CIDEr-D; `tokens_of` is
sacrebleu's "13a" (punctuation is a token), used by BLEU. Both lower-case first: how a radiologist writes capitals says
nothing about the image, and reports in capitals would otherwise share no word with those in sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[a-z0-9]+")
_SYMBOL = re.compile(r"([{-~\[-` -&(-+:-@/])")
_POINT_AFTER_TEXT = re.compile(r"([^0-9])([.,])")
_POINT_BEFORE_TEXT = re.compile(r"([.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
_ESCAPES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}

Grams = Counter[tuple[str, ...]]
"""Runs of words and how often each is there."""


def words_of(text: str) -> list[str]:
    """Splits a text into lower-cased runs of ASCII letters and digits, as rouge-score does without its stemmer.

    Args:
        text: Any text.
    """
    return _WORD.findall(text.lower())


def tokens_of(text: str) -> list[str]:
    """Splits a lower-cased text as mteval-v13a and sacrebleu do: symbols stand alone, but not the point of a number.

    Args:
        text: Any text.
    """
    line = text.lower().rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for escape, character in _ESCAPES.items():
        line = line.replace(escape, character)
    line = _SYMBOL.sub(r" \1 ", f" {line} ")
    line = _POINT_AFTER_TEXT.sub(r"\1 \2 ", line)
    line = _POINT_BEFORE_TEXT.sub(r" \1 \2", line)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", line).split()


def grams_of(words: Sequence[str], order: int) -> Grams:
    """Counts the runs of so many words.

    Args:
        words: Words of a text.
        order: Length of a run.
    """
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))
