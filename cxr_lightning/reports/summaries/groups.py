"""What stands beside what: a text enters, groups of words leave, each about one thing of which something is said.

A group is a clause, or several: "measuring 6 mm", "which measures 6 mm" and "It measures 6 mm." are no clauses of
their own but belong to what was spoken of before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from cxr_lightning.reports.sentences import split_sentences
from cxr_lightning.reports.summaries.devices import tokenise
from cxr_lightning.reports.summaries.likeness import read_sentence

LONGEST = 600
"""Characters of a sentence that are read in one piece; what is longer is no sentence, and is cut."""

_SEAM = re.compile(r"\s*([,;:()]|\s[-–—]\s|\b(?:and|with|without|but|while|whereas|however|which|that|where)\b)\s*")
_PREPOSITION = re.compile(r"(?:in|at|on|within|over|overlying)\b")
_SAME_SUBJECT = re.compile(
    r"(?:should|must|is|are|was|were|has|have|needs?|may|might|can|could|ends?|ending|terminat\w+|measur\w+|lies"
    r"|projects?|extends?|reaches|cross\w+|cours\w+)\b"
)
_IT = re.compile(r"(?:it|they)\b")
_BACK = re.compile(r"(?:this|these|that|measur\w+)\b")
_MORE_SIGN = re.compile(r"\b([lr]) ?([<>]) ?([lr])\b")
_WIDE = re.compile(rf"\S.{{0,{LONGEST - 1}}}(?=\s|$)|\S{{1,{LONGEST}}}")
MEASURES = frozenset(
    """measur measure size diamet approx about up greate maxim dimens length long short width wide axis its each mm cm
    millim centim degree percen x is tip tips end ends ending termin projec lies lie place placed positi locate located
    course course two three four five six seven eight nine ten eleven twelve first second third fourth fifth sixth
    sevent eighth ninth tenth elevent twelft well other one ones respec tube line cathet lead leads
    should must small tiny trace minima mild mildly slight large severe marked massiv extens huge modera""".split()  # noqa: SIM905
)
"""Stems that tell nothing of the owner: words of measuring, of degree, and of being somewhere."""


@dataclass(frozen=True, slots=True)
class Group:
    """A part of a sentence about one thing.

    Attributes:
        text: It: lower case, devices and places as tokens.
        words: Its telling words, by their stems, without those of measuring and of degree.
        sides: "left", "right" or both.
        denies: Whether it has a word that denies.
        sentence: Number of its sentence in the text.
        around: The telling words of its whole sentence, and of those before to which it goes back.
        sides_around: The sides of these.
        plain: The whole sentence, as `text` is.
    """

    text: str
    words: frozenset[str]
    sides: frozenset[str]
    denies: bool
    sentence: int = 0
    around: frozenset[str] = frozenset()
    sides_around: frozenset[str] = frozenset()
    plain: str = ""


@lru_cache(maxsize=16)
def read_groups(text: str) -> tuple[Group, ...]:
    """Reads a text's groups.

    Args:
        text: A report or a summary.
    """
    groups: list[Group] = []
    first = 0
    for number, sentence in enumerate(_sentences(text)):
        plain = plain_of(sentence)
        found = _cut(plain)
        around = frozenset[str]().union(*(each.words for each in found))
        sides = frozenset[str]().union(*(each.sides for each in found))
        if groups and found and _goes_back(plain, found[0]):
            owner = groups[first]  # "It measures 6 mm": what the sentence before speaks of
            found = (_joined(owner.text, found[0].text), *found[1:])
            around, sides = around | owner.around, sides | owner.sides_around
            groups[first] = replace(found[0], sentence=number - 1, around=around, sides_around=sides, plain=owner.plain)
            found = found[1:]
        else:
            first = len(groups) if found else first
        groups += [replace(each, sentence=number, around=around, sides_around=sides, plain=plain) for each in found]
    return tuple(groups)


def _goes_back(plain: str, first: Group) -> bool:
    return _IT.match(plain) is not None or (not first.words and not first.sides and _BACK.match(plain) is not None)


def _sentences(text: str) -> list[str]:
    return [piece for sentence in split_sentences(text) for piece in _pieces(sentence)]


def _pieces(sentence: str) -> list[str]:
    return [sentence] if len(sentence) <= LONGEST else _WIDE.findall(sentence)


@lru_cache(maxsize=1 << 14)
def plain_of(sentence: str) -> str:
    """Writes a sentence so that its words can be compared.

    Args:
        sentence: It, as written.
    """
    words = _MORE_SIGN.sub(_in_words, sentence.lower())
    return tokenise(words)


def _in_words(match: re.Match[str]) -> str:
    names = {"l": "left", "r": "right"}
    first, second = names[match[1]], names[match[3]]
    return f"{first} greater than {second}" if match[2] == ">" else f"{second} greater than {first}"


@lru_cache(maxsize=1 << 14)
def _cut(plain: str) -> tuple[Group, ...]:
    parts = _SEAM.split(plain)
    clauses: list[str] = []
    carried, carried_by = "", ""
    for at in range(0, len(parts), 2):
        clause, before = parts[at], parts[at - 1] if at else ""
        after = parts[at + 1] if at + 1 < len(parts) else ""
        if not clause:
            # "..., and in": what counts is the word.
            carried_by = carried_by or before
            continue
        before, carried_by = (before if before.isalpha() else carried_by or before), ""
        clause, carried = (f"{carried} {clause}" if carried else clause), ""
        part = read_sentence(clause)
        bare = not part.words - MEASURES
        goes_on = before in ("which", "that") or _SAME_SUBJECT.match(clause)
        if clauses and (goes_on or (bare and not (part.sides and before == "and"))):
            clauses[-1] += f" , {clause}"
        elif (not clauses or before == "and") and _leads(clause, after, bare=bare and bool(part.sides)):
            carried = clause
        elif _PREPOSITION.match(clause) and clauses and before != "and":
            clauses[-1] += f" , {clause}"
        else:
            clauses.append(clause)
    if carried:
        clauses.append(carried)
    return tuple(_group(clause) for clause in clauses)


def _leads(clause: str, after: str, *, bare: bool) -> bool:
    """Tells whether a clause only says where the next one's thing is: "in the left lung, a mass", "left and right"."""
    if _PREPOSITION.match(clause):
        return after == ","
    return bare and after == "and" and len(clause.split()) == 1


def _joined(first: str, second: str) -> Group:
    return _group(f"{first} , {second}")


def _group(text: str) -> Group:
    part = read_sentence(text)
    return Group(text, part.words - MEASURES, part.sides, part.denies)
