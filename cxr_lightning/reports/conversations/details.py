"""Where, how large, which device, what of the heart, which view: questions that a report answers in its own words.

"Where is the pneumothorax?" supposes one. Some such questions are asked where there is none, and the answer says so:
else a model learns to put every finding somewhere that it is asked to place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.places import Place
from cxr_lightning.findings.severity import severity
from cxr_lightning.reports.conversations.frequencies import Shares, kept
from cxr_lightning.reports.conversations.presence import worded
from cxr_lightning.reports.conversations.reading import Line, Reading
from cxr_lightning.reports.conversations.said import Context, Said
from cxr_lightning.reports.conversations.shown import carried
from cxr_lightning.reports.conversations.topics import DEVICE_ROWS, TOPICS, Topic, bare
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.conversations.wordings import (
    DEGREE,
    DEGREE_NEXT,
    DEVICES,
    EXTENT,
    EXTENT_NEXT,
    PLACE,
    PLACE_NEXT,
    PROJECTION,
    VIEW,
)
from cxr_lightning.reports.draw import choose, fraction

_DENIED_RATE = 0.2
_FRONTAL_RATE = 0.03
"""Hardly any study's primary image is a lateral one: asked as often about the others, all would be frontal."""
_MEASURE = re.compile(r"\b\d+(?:\.\d+)?(?: ?x ?\d+(?:\.\d+)?)* ?-?(?:mm|cm|millimeters?|centimeters?)\b", re.IGNORECASE)
_MOST_LINES = 3
_WORD = re.compile(r"[a-z]+")
_STEPS = re.compile(r"\b(?:small|grade)\b", re.IGNORECASE)
"""What asks for one of three steps: a measure is no answer to it."""
# What names where there is most of it, does not name where all of it is.
_MOST_OF_IT = re.compile(
    r"\b(?:largest|biggest|dominant|greatest|worst|worse|(?:more|most) (?:so|prominent\w*|pronounced|severe|marked"
    r"|conspicuous|confluent)|predominant\w*|predominately|especially|particularly)\b",
    re.IGNORECASE,
)
_LARGE = re.compile(r"\blarge\b", re.IGNORECASE)
_ONE_MORE = re.compile(
    r"\b(?:second|third|another|additional|other|further|multiple|several|numerous)\b", re.IGNORECASE
)
_AP = re.compile(r"\bap\b|\bantero-?posterior\b|\bportable\b", re.IGNORECASE)
_PA = re.compile(r"\bpa\b|\bpostero-?anterior\b", re.IGNORECASE)


def follow_ups(reading: Reading, topic: Topic, key: str) -> list[Asked]:
    """Ask where a finding is and how large, once it is known that it is there ("Where?").

    Args:
        reading: The study.
        topic: The finding.
        key: The study's key.
    """
    next_extent = EXTENT_NEXT if topic.sizing == "extent" else DEGREE_NEXT
    return [*_place(reading, topic, key, PLACE_NEXT), *_size(reading, topic, key, next_extent)]


def stated_details(reading: Reading, key: str) -> list[Asked]:
    """Ask where findings are, and how large, of which the report says so.

    Args:
        reading: The study.
        key: The study's key.
    """
    asked: list[Asked] = []
    for topic in TOPICS:
        if reading.settles(topic):
            asked += _place(reading, topic, key, PLACE)
            asked += _size(reading, topic, key, EXTENT if topic.sizing == "extent" else DEGREE)
    return asked


def denied_details(reading: Reading, shares: Shares, key: str) -> list[Asked]:
    """Ask where a finding is that is not there.

    Args:
        reading: The study.
        shares: How often findings are settled as there and as not there.
        key: The study's key.
    """
    asked: list[Asked] = []
    for topic in TOPICS:
        absent = topic.placed and reading.settles(topic) is False
        if not absent or not kept(topic.name, holds=False, shares=shares, key=f"{key} denied", rate=_DENIED_RATE):
            continue
        noun = choose(topic.nouns, key, "noun", topic.name)
        denied = topic.no.format(it=noun, bare=bare(noun))
        answers = (f"{_capital(denied)}.", f"There is none. {reading.evidence(topic, holds=False)}".strip())
        answer = choose(answers, key, "denied", topic.name)
        asked.append(Asked("place", worded(choose(PLACE, key, "place", topic.name), noun), answer, topic.name, False))
    return asked


def devices(reading: Reading, key: str) -> list[Asked]:
    """Ask which devices there are, where the report names some.

    Args:
        reading: The study.
        key: The study's key.
    """
    lines = reading.devices
    if not lines or len(lines) > _MOST_LINES or reading.drops(DEVICE_ROWS):
        return []
    return [Asked("devices", choose(DEVICES, key, "devices"), " ".join(lines), "devices", True)]


def views(said: Said, context: Context, key: str) -> list[Asked]:
    """Ask how the film was taken, where the prompt does not say it.

    Args:
        said: The study.
        context: What prompts carry.
        key: Its key.
    """
    asked: list[Asked] = []
    portrayed = projection(said.technique) if said.position == "frontal" else ""
    drawn = said.position == "lateral" or (said.position == "frontal" and fraction(key, "view") < _FRONTAL_RATE)
    if not (portrayed or drawn):
        return []
    told = carried(said, key, context, mixed=True)
    lone = not (told.keys() & {"view", "technique"} or (context.lateral and said.lateral))
    if lone and drawn:
        answer = choose(("This is a {} view.", "{}.", "It is a {} chest radiograph."), key, "view answer")
        words = _capital(answer.format(said.position))
        asked.append(Asked("view", choose(VIEW, key, "view wording"), words, said.position))
    if portrayed and "technique" not in told:
        answer = choose(("{}.", "It is {} projection.", "The film was taken {}."), key, "projection answer")
        written = portrayed if answer != "It is {} projection." else {"AP": "an AP", "PA": "a PA"}[portrayed]
        asked.append(Asked("view", choose(PROJECTION, key, "projection"), answer.format(written), portrayed))
    return asked


def projection(technique: str) -> str:
    """Read whether a frontal film was taken PA or AP.

    Args:
        technique: As the report has it.

    Returns:
        "PA", "AP", or "" where neither or both are said.
    """
    pa, ap = _PA.search(technique) is not None, _AP.search(technique) is not None
    return "" if pa == ap else "PA" if pa else "AP"


def place_words(places: frozenset[Place]) -> str:
    """Name places in words.

    Args:
        places: Where something is, sides at least.

    Returns:
        "on the left", "in the right upper lung", "in the lower part of both lungs"; empty where they are too many.
    """
    zones = {place.zone for place in places}
    sides = sorted({place.side for place in places}, reverse=True)
    if not sides or "" in sides or len(places) > len(sides) * len(zones) or len(places) > 2:
        return ""
    if len(zones) == 1:
        (zone,) = zones
        if len(sides) == 2:
            return f"in the {zone} part of both lungs" if zone else "on both sides"
        return f"in the {sides[0]} {zone} lung" if zone else f"on the {sides[0]}"
    if "" in zones:
        return ""
    each = [f"{place.side} {place.zone}" for place in sorted(places, key=lambda place: (place.side, place.zone))]
    return f"in the {' and the '.join(reversed(each))} lung"


def _place(reading: Reading, topic: Topic, key: str, wordings: Sequence[str]) -> list[Asked]:
    lines = reading.stating(topic)
    if not topic.placed or reading.drops(topic.rows) or _one_is_unplaced(lines, topic):
        return []
    places = frozenset(
        place for line in lines for each in line.speaks(topic.rows, Certainty.PRESENT) for place in each.places
    )
    # Two sentences, one of which names the side alone, speak of one place.
    fine = frozenset(place for place in places if place.zone)
    if {place.side for place in fine} == {place.side for place in places}:
        places = fine or places
    if topic.name in ("pleural effusion", "pneumothorax", "fracture"):
        places = frozenset(Place(place.side, "") for place in places)
    words = place_words(places)
    if not words:
        return []
    noun = choose(topic.nouns, key, "noun", topic.name)
    quoted = reading.evidence(topic, holds=True)
    answers: tuple[str, ...] = (f"{_capital(words)}.", f"The {bare(noun)} is {words}.", quoted)
    if any(_MOST_OF_IT.search(line.text) for line in lines):
        if not quoted or not _places_all(lines, quoted, topic, places):
            return []
        answers = (quoted,)
    answer = choose(answers, key, "place answer", topic.name)
    if answer == answers[-1] and len(answers) > 1 and not _places_all(lines, answer, topic, places):
        answer = answers[1]
    return [Asked("place", worded(choose(wordings, key, "place", topic.name), noun), answer, topic.name, True)]


def _one_is_unplaced(lines: Sequence[Line], topic: Topic) -> bool:
    """Tell whether one more of them is somewhere that is not said: "There is a second nodule"."""
    return any(
        not each.places and _ONE_MORE.search(line.text)
        for line in lines
        for each in line.speaks(topic.rows, Certainty.PRESENT)
    )


def _places_all(lines: Sequence[Line], quoted: str, topic: Topic, places: frozenset[Place]) -> bool:
    """Tell whether a quoted sentence names every side that there is to name."""
    own = (each for line in lines if line.text == quoted for each in line.speaks(topic.rows, Certainty.PRESENT))
    return {place.side for each in own for place in each.places} == {place.side for place in places}


def _size(reading: Reading, topic: Topic, key: str, wordings: Sequence[str]) -> list[Asked]:
    if reading.drops(topic.rows):
        return []
    lines = reading.stating(topic)
    own = [(each, line) for line in lines for each in line.speaks(topic.rows, Certainty.PRESENT)]
    if topic.name == "enlarged heart":  # "the heart is large" says that it is enlarged, not how much
        own = [(each, line) for each, line in own if not _LARGE.search(line.text) and each.finding == "cardiomegaly"]
    measures = {
        match[0]
        for line in lines
        if len(line.mentions) == 1 and topic.name in ("nodule", "lung opacity", "pleural effusion", "pneumothorax")
        for match in _MEASURE.finditer(line.text)
    }
    steps = {each.severity for each, _ in own if each.severity is not None}
    noun = choose(topic.graded, key, "noun", topic.name)
    question = worded(choose(wordings, key, "size", topic.name), noun)
    if len(measures) == 1 and len(own) == 1:
        open_ones = [each for each in (EXTENT_NEXT if "{" not in wordings[0] else EXTENT) if not _STEPS.search(each)]
        question = worded(choose(open_ones, key, "size", topic.name), noun)
        answers: tuple[str, ...] = (f"It measures {measures.pop()}.", own[0][1].text)
    elif topic.sizing and len(steps) == 1 and not measures and all(_sizes_each(line) for _, line in own):
        size = topic.size(steps.pop())
        quoted = [line.text for each, line in own if each.severity is not None and reading.may_quote(line)]
        answers = (f"{_capital(size)}.", f"The {bare(noun)} is {size}.", *quoted[:1])
    else:
        return []
    return [Asked("extent", question, choose(answers, key, "size answer", topic.name), topic.name, True)]


def _sizes_each(line: Line) -> bool:
    """Tell whether each size in a sentence is that of one finding.

    It is not in "small left and large right effusions", nor in "mild to moderate"; and tension is no size.
    """
    sizes = sum(severity(word) is not None for word in _WORD.findall(line.text.lower()) if word != "tension")
    return sizes == sum(each.severity is not None for each in line.mentions)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
