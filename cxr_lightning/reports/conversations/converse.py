"""The conversation of a study: which questions are asked of it, and in which order.

Two to five questions, as far as the report has answers: one for a whole text, those about findings that the draw keeps,
then others. Questions about findings come first in choosing, for leaving out some of them would undo their balance.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxr_lightning.reports.conversations.details import (
    denied_details,
    devices,
    follow_ups,
    stated_details,
    views,
)
from cxr_lightning.reports.conversations.frequencies import Shares, shares_of
from cxr_lightning.reports.conversations.labels import ask_labels, can_ask_about
from cxr_lightning.reports.conversations.lay import explain
from cxr_lightning.reports.conversations.presence import ask_normality, presences
from cxr_lightning.reports.conversations.reading import Reading, read
from cxr_lightning.reports.conversations.regions import regions
from cxr_lightning.reports.conversations.said import Context, Said, Style
from cxr_lightning.reports.conversations.shown import shown_of
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.conversations.turns import Asked, Turn, as_turns
from cxr_lightning.reports.conversations.wordings import DESCRIBE, FINDINGS, IMPRESSION
from cxr_lightning.reports.draw import choose, fraction

MOST_QUESTIONS = 5
_MOST_PRESENCES = 3
_COUNTS = (2, 2, 3, 3, 3, 4, 4, 5)
_NEXT_SHARE = 0.5
_BOTH_SHARE = 0.3
_RARE_FIRST = 0.4
_BY_NAME = {topic.name: topic for topic in TOPICS}


def converse(
    said: Said,
    key: str,
    style: Style,
    context: Context = Context(),  # noqa: B008  (frozen)
    shares: Shares | None = None,
) -> list[Turn]:
    """Make the conversation of a study.

    Args:
        said: What its report and labels say, and what its radiologist knew.
        key: The study's key: the same key with the same shares gets the same conversation.
        style: `describe` or `mixed`; a source's own turns come before either.
        context: What prompts carry beside the image.
        shares: How often findings are there and not there, so that yes and no are asked alike (`shares_among`); by the
            study's source if not given.

    Returns:
        Turns, user and assistant in alternation; empty where there is nothing to answer with.
    """
    shown = shown_of(said, key, context, mixed=style == "mixed" and not said.turns)
    if said.turns:
        return as_turns(said.turns, shown)
    if style == "describe":
        return as_turns([(choose(DESCRIBE, key, "describe"), said.summary)] if said.summary else [], shown)
    return as_turns([(each.question, each.answer) for each in ask_all(said, key, context, shares)], shown)


def ask_all(
    said: Said,
    key: str,
    context: Context = Context(),  # noqa: B008  (frozen)
    shares: Shares | None = None,
) -> list[Asked]:
    """Choose the questions of style `mixed`.

    Args:
        said: What is known about the study.
        key: Its key.
        context: What prompts carry: what the study's own one says is not asked.
        shares: How often findings are settled as there and as not there; by the study's source if not given.

    Returns:
        Two to five questions in their order, with their answers; fewer where the report answers no more.
    """
    reading = read(said)
    balance = shares_of(said.source) if shares is None else shares
    short = [*ask_normality(reading, balance, key), *_short(said, reading, balance, key)[:_MOST_PRESENCES]]
    whole = _whole(said, key)[: MOST_QUESTIONS - len(short)]
    blocks = [block for block in (whole, *([each] for each in short)) if block]
    room = max(choose(_COUNTS, key, "count"), sum(map(len, blocks)))
    for block in blocks:
        block += _next(reading, block[-1], key)[: MOST_QUESTIONS - sum(map(len, blocks))]
    about = {each.about for each in short}
    about |= {topic.name for topic in TOPICS if topic.kinds & {each.partition(":")[0] for each in about}}
    full = sum(map(len, blocks)) >= room
    for each in () if full else _others(said, reading, balance, key, context):
        if sum(map(len, blocks)) < room and each.about not in about:
            blocks.append([each])
            about |= {each.about} - {""}
    blocks.sort(key=lambda block: fraction(key, "place", block[0].kind, block[0].about))
    return [each for block in blocks for each in block]


def _others(said: Said, reading: Reading, shares: Shares, key: str, context: Context) -> list[Asked]:
    """List what else can be asked, in drawn order; what few reports answer mostly goes before what most do."""
    rare = [
        *stated_details(reading, key),
        *denied_details(reading, shares, key)[:1],
        *devices(reading, key),
        *views(said, context, key),
    ]
    common = [*regions(reading, key), *explain(reading, key)]
    drawn = [(fraction(key, "other", each.kind, each.about) * _RARE_FIRST, each) for each in rare]
    drawn += [(fraction(key, "other", each.kind, each.about), each) for each in common]
    return [each for _, each in sorted(drawn, key=lambda pair: pair[0])]


def _short(said: Said, reading: Reading, shares: Shares, key: str) -> list[Asked]:
    if said.labels is not None and can_ask_about(said.labels):
        return ask_labels(said.labels, key)
    return presences(reading, shares, key)


def _whole(said: Said, key: str) -> list[Asked]:
    """Ask for a whole text: the summary, the findings, the impression, or the latter two one after the other."""
    findings = Asked("findings", choose(FINDINGS, key, "wording"), said.findings)
    impression = Asked("impression", choose(IMPRESSION, key, "impression"), said.impression)
    if said.findings and said.impression and said.findings != said.impression and fraction(key, "both") < _BOTH_SHARE:
        return [findings, impression]
    describe = Asked("describe", choose(DESCRIBE, key, "wording"), said.summary)
    options = [each for each in (describe, findings, impression) if each.answer]
    return [choose(options, key, "kind")] if options else []


def _next(reading: Reading, asked: Asked, key: str) -> Sequence[Asked]:
    """Ask on after a yes: where, and how large."""
    topic = _BY_NAME.get(asked.about)
    if (
        topic is None
        or asked.kind != "presence"
        or not asked.holds
        or fraction(key, "next", asked.about) >= _NEXT_SHARE
    ):
        return []
    return follow_ups(reading, topic, key)
