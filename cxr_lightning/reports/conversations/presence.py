"""Is there X, and is the film normal: questions whose answer is yes or no, drawn so that either is as likely."""

from __future__ import annotations

from cxr_lightning.reports.conversations.frequencies import Shares, kept
from cxr_lightning.reports.conversations.reading import Reading
from cxr_lightning.reports.conversations.topics import TOPICS, Topic, bare
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.conversations.wordings import NORMALITY, PRESENCE, YES_OR_NO
from cxr_lightning.reports.draw import choose, fraction

_A_STUDY = 1.2
"""So many questions about findings a study has on average, at most: others need room beside them."""
_TERSE_SHARE = 0.25
_QUOTING_SHARE = 0.35
_NORMALITY_RATE = 0.6
NORMAL_ANSWERS = (
    "It is normal.",
    "This is a normal chest X-ray.",
    "The chest radiograph is normal.",
    "Nothing abnormal is seen.",
)
"""How a film is called normal."""
_ABNORMAL = ("It is abnormal.", "The chest X-ray is abnormal.", "The chest radiograph is not normal.")


def presences(reading: Reading, shares: Shares, key: str) -> list[Asked]:
    """Ask about findings that the report settles.

    Args:
        reading: The study.
        shares: How often findings are settled as there and as not there.
        key: The study's key.

    Returns:
        A question for each finding that the draw keeps, in drawn order.
    """
    expected = sum(2 * min(shares[topic.name]) for topic in TOPICS)
    rate = min(1.0, _A_STUDY / expected)
    asked = [
        ask_presence(reading, topic, key, holds=holds)
        for topic in TOPICS
        if (holds := reading.settles(topic)) is not None
        and kept(topic.name, holds=holds, shares=shares, key=key, rate=rate)
    ]
    return sorted(asked, key=lambda each: fraction(key, "order", each.about))


def ask_presence(reading: Reading, topic: Topic, key: str, *, holds: bool) -> Asked:
    """Ask whether a finding is there.

    Args:
        reading: The study.
        topic: The finding.
        key: The study's key.
        holds: Whether it is there.
    """
    noun = choose(topic.nouns, key, "noun", topic.name)
    stated = (topic.yes if holds else topic.no).format(it=noun, bare=bare(noun))
    return answer_yes_or_no(noun, topic.name, stated, reading.evidence(topic, holds=holds), key, holds=holds)


def answer_yes_or_no(noun: str, about: str, stated: str, evidence: str, key: str, *, holds: bool) -> Asked:
    """Word a question for a finding, and its answer: a word where a word is asked for, else a sentence.

    Args:
        noun: The finding with its article.
        about: What it is counted as.
        stated: What is true of it, as a clause.
        evidence: The report's own sentence; empty where there is none to quote.
        key: The study's key.
        holds: Whether the finding is there.
    """
    terse = fraction(key, "terse", about) < _TERSE_SHARE
    question = choose(YES_OR_NO if terse else PRESENCE, key, "presence", about)
    word = "Yes" if holds else "No"
    if terse:
        answer = f"{word}."
    elif evidence and fraction(key, "quote", about) < _QUOTING_SHARE:
        answer = evidence if evidence.startswith(f"{word} ") else f"{word}. {evidence}"
    else:
        answer = f"{word}, {stated}."
    return Asked("presence", worded(question, noun), answer, about, holds)


def ask_normality(reading: Reading, shares: Shares, key: str) -> list[Asked]:
    """Ask whether the film is normal, where the report says so or not.

    Args:
        reading: The study.
        shares: How often films are abnormal, and normal.
        key: The study's key.

    Returns:
        One question or none.
    """
    abnormal = reading.abnormal
    if abnormal is None or not kept("abnormal", holds=abnormal, shares=shares, key=key, rate=_NORMALITY_RATE):
        return []
    answer = choose(_ABNORMAL if abnormal else NORMAL_ANSWERS, key, "normality answer")
    stated = [quoted for topic in TOPICS if reading.settles(topic) and (quoted := reading.evidence(topic, holds=True))]
    if abnormal and stated:
        answer += f" {choose(stated, key, 'what is abnormal')}"
    return [Asked("normality", choose(NORMALITY, key, "normality"), answer, "abnormal", abnormal)]


def worded(question: str, noun: str) -> str:
    """Put a finding's name into a question.

    Args:
        question: One of `wordings`.
        noun: The name, with its article.
    """
    name = bare(noun)
    return question.format(it=noun, the=f"the {name}", bare=name, Bare=name[:1].upper() + name[1:])
