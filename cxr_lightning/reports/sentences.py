"""Text enters, sentences leave: the unit that cleaning and summarising work on.

Radiology prose is short and full of traps for a splitter: "2.5 cm", "Dr. Smith", "1. No effusion. 2. Clear lungs.",
"p.m.". List numbers are dropped, for the order of an impression's points is told by their order.
"""

from __future__ import annotations

import re

_ABBREVIATIONS = ("dr", "mr", "mrs", "ms", "vs", "approx", "e.g", "i.e", "a.m", "p.m", "cf", "no", "st", "etc", "resp")
_END = re.compile(r"[.?!]+[\")\]]*(?=\s|$)|;(?=\s)|(?<=[a-z)])\.(?=[A-Z][a-z])")
# "1. Cardiomegaly without failure 2. Ectatic aorta": the stop before the next point was forgotten.
_NEXT_POINT = re.compile(r"(?<=[a-z]{3})(?= [2-9]\. [A-Z])")
_NUMBER = re.compile(r"^(?:\(?\d{1,2}[.)]|[-*•#>]+)\s*(?=\D|$)")
_LONGEST_WORD = 40
_LAST_WORD = re.compile(r"([A-Za-z.]+)$")


def split_sentences(text: str) -> list[str]:
    """Split running text into sentences.

    Args:
        text: Any text; line breaks count as spaces.

    Returns:
        Sentences without list numbers and without their final full stop, none of them empty.
    """
    flat = " ".join(text.split())
    if flat.startswith("1"):
        flat = _NEXT_POINT.sub(".", flat)
    sentences, start = [], 0
    for match in _END.finditer(flat):
        # No abbreviation is longer, and to look at all that is before would take the square of a text's length.
        if _is_inside(flat[max(start, match.start() - _LONGEST_WORD) : match.start()], match[0]):
            continue
        sentences.append(flat[start : match.start()] + ("?" if "?" in match[0] else ""))
        start = match.end()
    sentences.append(flat[start:])
    return [bare for sentence in sentences if (bare := bare_sentence(sentence))]


def bare_sentence(sentence: str) -> str:
    """Strip list number, surrounding space and loose punctuation from one sentence."""
    return _NUMBER.sub("", sentence.strip(" \t.,;:")).strip(" \t,;:.")


def join_sentences(sentences: list[str]) -> str:
    """Write sentences as prose: each with a capital and a full stop.

    Args:
        sentences: Sentences as `split_sentences` gives them.
    """
    return " ".join(_capital(sentence) + ("" if sentence[-1] in ".?!" else ".") for sentence in sentences if sentence)


def _capital(sentence: str) -> str:
    # Plain letters only: the capital of a micro sign is another letter, and "5 µm" another word.
    return sentence[0].upper() + sentence[1:] if sentence[0].isascii() else sentence


def _is_inside(before: str, mark: str) -> bool:
    """Tell a full stop of an abbreviation or a list number from the end of a sentence."""
    if mark != ".":
        return False
    bare = before.strip()
    if re.fullmatch(r"\d{1,2}", bare):
        return True
    word = _LAST_WORD.search(bare)
    if word is None:
        return False
    last = word[1].lower()
    # "no" is an abbreviation before a number only; a sentence that ends in "no" is rarer than "No. 3".
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and bare.endswith(" " + word[1]))
