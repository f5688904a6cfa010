"""Where two texts differ: sentences by the findings that they state, and words that the other text does not have.

Enters a text, the text beside it and which labels both state; leaves sentences in pieces, which put together are the
text. Words are aligned by their longest common subsequence, at a cost that depends on lengths alone, whatever is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cxr_lightning.evaluation.page.words import say_label
from cxr_lightning.findings.located import find, split_sentences

Mark = Literal["hit", "missed", "invented", ""]
LONGEST = 4000
"""Characters of a text that the page shows; predictions.jsonl has them all."""

_WORD = re.compile(r"\w+(?:[-'’./]\w+)*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a sentence.

    Attributes:
        text: As it was written.
        differs: Whether the text beside it does not have these words at this place.
    """

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as the page marks it.

    Attributes:
        pieces: Its stretches.
        space: What stands between it and the next one.
        mark: What it is by the findings that it states.
        labels: Those, in words.
    """

    pieces: tuple[Piece, ...]
    space: str
    mark: Mark
    labels: str


def mark_text(
    text: str,
    beside: str,
    hits: AbstractSet[str],
    rest: Literal["missed", "invented"],
    read: Callable[[str], AbstractSet[str]] = find,
) -> list[Sentence]:
    """Marks a text's sentences by what they state, and its words by whether the text beside it has them.

    Args:
        text: A reference or an answer.
        beside: The other of them.
        hits: Labels that both state.
        rest: What a sentence is that states a label that is no hit.
        read: What reads the labels of a sentence.

    Returns:
        Its sentences; put together they are the text.
    """
    spans = differing(text, beside)
    sentences, place = [], 0
    for sentence in split_sentences(text):
        stated = read(sentence)
        mark: Mark = "" if not stated else "hit" if stated <= hits else rest
        body = sentence.rstrip()
        pieces = tuple(_pieces(body, [(start - place, end - place) for start, end in spans]))
        sentences.append(Sentence(pieces, sentence[len(body) :], mark, ", ".join(map(say_label, sorted(stated)))))
        place += len(sentence)
    return sentences


def differing(text: str, beside: str) -> list[tuple[int, int]]:
    """Finds the words of a text that the text beside it lacks.

    Args:
        text: The text.
        beside: The other one.

    Returns:
        Where they begin and end; neighbours are one stretch.
    """
    own = list(_WORD.finditer(text))
    kept = _common([word.group().casefold() for word in own], [w.casefold() for w in _WORD.findall(beside)])
    spans: list[tuple[int, int]] = []
    for number, word in enumerate(own):
        if number in kept:
            continue
        if spans and number - 1 not in kept:
            spans[-1] = (spans[-1][0], word.end())
        else:
            spans.append(word.span())
    return spans


def shared_words(text: str, other: str) -> float:
    """Returns how much of two texts is the same words in the same order, from 0 to 1; 1 if both are empty."""
    first, second = ([word.casefold() for word in _WORD.findall(each)] for each in (text, other))
    total = len(first) + len(second)
    return 2 * len(_common(first, second)) / total if total else 1.0


def _pieces(sentence: str, spans: Iterable[tuple[int, int]]) -> Iterable[Piece]:
    place = 0
    for start, end in spans:
        start, end = max(start, 0), min(end, len(sentence))
        if start >= end:
            continue
        if start > place:
            yield Piece(sentence[place:start], False)
        yield Piece(sentence[start:end], True)
        place = end
    if place < len(sentence):
        yield Piece(sentence[place:], False)


def _common(first: Sequence[str], second: Sequence[str]) -> set[int]:
    """Returns which words of the first belong to the longest common subsequence."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*first, *second]))}
    other = np.array([numbers[word] for word in second], dtype=np.int64)
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=np.int32)
    for row, word in enumerate(first, start=1):
        along = np.maximum(table[row - 1, 1:], table[row - 1, :-1] + (other == numbers[word]))
        table[row, 1:] = np.maximum.accumulate(along)
    found, row, column = set(), len(first), len(second)
    while row and column:
        if table[row, column] == table[row - 1, column]:
            row -= 1
        elif table[row, column] == table[row, column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            found.add(row)
    return found
