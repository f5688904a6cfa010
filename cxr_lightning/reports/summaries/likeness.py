"""Sentences of source and summary beside each other, for what no list of findings knows: hernias of tomorrow.

Two sentences are alike by the telling words that they share. A sentence of the summary that is like none of the report
was invented; one of the report whose words are nowhere in the summary was lost; and where two are alike, both deny or
neither does, and a side is that of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cxr_lightning.reports.sentences import split_sentences
from cxr_lightning.reports.summaries.devices import tokenise
from cxr_lightning.reports.summaries.fault import Fault

_WORD = re.compile(r"[^\W\d_]+")
CLAUSE = re.compile(r"[,;:]|\b(?:and|with|but|while|whereas)\b")
"""Where a sentence falls into clauses."""

_NEGATION = re.compile(r"\b(?:no|not|without|nor|neither|none|cannot|absent|absence|negative|free of)\b", re.IGNORECASE)
_WITHIN = re.compile(r"(?<=\W)(?<!^\W)(?:no|without|nor)\b", re.IGNORECASE)
_SIDES = {
    "left": ("left",), "leftward": ("left",), "lefts": ("left",), "right": ("right",), "rightward": ("right",),
    "bilateral": ("left", "right"), "bilaterally": ("left", "right"), "both": ("left", "right"),
    "bibasilar": ("left", "right"), "bibasal": ("left", "right"), "biapical": ("left", "right"),
}  # fmt: skip
_EMPTY = frozenset(
    """a an the is are was were be been being there this that these those it its they of in on at to from for with by
    and or as but which who has have had no not nor without neither none any some may might could can than then also
    seen noted present identified evidence evident demonstrated demonstrates visualized visible appear appears appearing
    show shows showing within level finding findings again overall side sided both remain remains otherwise only while
    suggest suggests suggesting suggestive consistent compatible likely possible possibly probable probably represent
    representing reflect reflecting""".split()  # noqa: SIM905
)
_SAME = {
    "heart": "cardia", "cardiac": "cardia", "cardiomediastinal": "cardia", "pulmonary": "lung", "lungs": "lung",
    "bony": "bone", "bones": "bone", "osseous": "bone", "skeletal": "bone", "skeleton": "bone", "thoracic": "thorax",
    "chest": "thorax", "pleura": "pleural", "hila": "hilar", "hilum": "hilar", "mediastinum": "medias",
    "vasculature": "vascul", "unremarkable": "normal", "limits": "normal", "clear": "clear", "oedema": "edema",
    "spinal": "spine", "vertebral": "spine", "apex": "apical", "apices": "apical", "base": "basila", "bases": "basila",
    "basal": "basila", "diaphragm": "hemidi", "diaphragms": "hemidi",
}  # fmt: skip
_STEM = 6
_ALIKE, _INVENTED, _LOST = 0.6, 0.3, 0.3
_MERGED = 0.9
"""Of a sentence that may be made of two of the report's, one of which denies something."""
_SHORT = 2


@dataclass(frozen=True, slots=True)
class Sentence:
    """What of a sentence is compared.

    Attributes:
        text: It, as written.
        words: Its telling words, by their stems.
        sides: "left", "right", or both.
        denies: Whether it has a word that denies.
    """

    text: str
    words: frozenset[str]
    sides: frozenset[str]
    denies: bool


def likeness_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares texts sentence by sentence.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What was invented, lost, swapped or turned round.
    """
    theirs, ours = _sentences(source), _sentences(summary)
    known = frozenset[str]().union(*(each.words for each in theirs))
    said = frozenset[str]().union(*(each.words for each in ours))
    for each in ours:
        if len(each.words) >= _SHORT and len(each.words & known) < _INVENTED * len(each.words):
            yield Fault("finding invented", f'nothing in the report says "{each.text}"; leave it out')
        yield from _turned(each, theirs)
    for each in theirs:
        if len(each.words) >= _SHORT and len(each.words & said) < _LOST * len(each.words):
            yield Fault("finding lost", f'the report says "{each.text}"; say so')
    yield from _swapped(theirs, summary)


def _turned(sentence: Sentence, others: tuple[Sentence, ...]) -> Iterator[Fault]:
    """A sentence that is nearly one of the report's, but denies it or no longer does."""
    least = _MERGED if CLAUSE.search(sentence.text) or _WITHIN.search(sentence.text) else _ALIKE
    if len(sentence.words) < _SHORT:
        return
    shares = [(len(sentence.words & other.words) / len(sentence.words | other.words), other) for other in others]
    alike = [other for share, other in shares if share >= least]
    if alike and all(other.denies != sentence.denies for other in alike):
        yield Fault("negation", f'the report says "{alike[0].text}"; keep what it denies, and deny nothing else')


def _swapped(theirs: tuple[Sentence, ...], summary: str) -> Iterator[Fault]:
    """A clause about one side whose words the report has on the other side alone."""
    for sentence in split_sentences(summary):
        for clause in CLAUSE.split(sentence):
            part = read_sentence(clause)
            if len(part.sides) != 1 or not part.words:
                continue
            shares = [(len(part.words & other.words), other.sides) for other in theirs if other.sides]
            most = max((share for share, _ in shares), default=0)
            if most < _ALIKE * len(part.words):
                continue
            if not any(part.sides <= sides for share, sides in shares if share == most):
                yield Fault("side", f'"{clause.strip()}" is on the other side in the report')


@lru_cache(maxsize=16)
def _sentences(text: str) -> tuple[Sentence, ...]:
    return tuple(read_sentence(sentence) for sentence in split_sentences(text))


@lru_cache(maxsize=1 << 14)
def read_sentence(sentence: str) -> Sentence:
    """Reads a sentence, or a part of one; remembered, since reports repeat each other's.

    Args:
        sentence: It.
    """
    words = _WORD.findall(tokenise(sentence.lower()))
    sides = frozenset(side for word in words for side in _SIDES.get(word, ()))
    telling = frozenset(_SAME.get(word, word[:_STEM]) for word in words if word not in _EMPTY and word not in _SIDES)
    return Sentence(sentence, telling, sides, _NEGATION.search(sentence) is not None)


def share_known(source: str, summary: str) -> float:
    """Returns how many of a summary's telling words the report has.

    Args:
        source: The report's text.
        summary: The summary's.
    """
    known = frozenset[str]().union(*(each.words for each in _sentences(source)))
    said = frozenset[str]().union(*(each.words for each in _sentences(summary)))
    return len(said & known) / len(said) if said else 1.0
