"""Which findings a report states, and where: located labels from free text, by rule.

Enters report text, written by a person or a model; leaves labels such as "pleural_effusion:left". Negated, resolved
and hedged findings are not stated. Works sentence by sentence, so the same sentence in thousands of reports is read
once. It is a labeler of our own: its scores are not CheXbert's or CheXpert's and must not be compared with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from cxr_lightning.findings.certainty import SIZES, Certainty, certainty
from cxr_lightning.findings.places import BOTH, Place, find_places

Detail = Literal["none", "side", "zone", "lobe"]
"""How finely a finding is located: not at all, by side, by third of a lung, by lobe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a radiologist may name.

    Attributes:
        name: The label without its location.
        detail: How finely it is located.
        words: A regular expression of the ways in which it is said, in lower case and with hyphens as spaces.
    """

    name: str
    detail: Detail
    words: str


@dataclass(frozen=True, slots=True)
class Mention:
    """One finding as one sentence speaks of it.

    Attributes:
        finding: Name of the finding.
        places: Where; empty when the sentence does not say.
        certainty: Whether it is stated, denied or left open.
    """

    finding: str
    places: frozenset[Place]
    certainty: Certainty

    @property
    def labels(self) -> frozenset[str]:
        """The located labels, whatever the certainty; none when the needed location is not said."""
        return (
            frozenset(_label(self.finding, place) for place in self.places) - {""}
            if self.places
            else _UNLOCATED[self.finding]
        )


_HEART = r"(?:heart|cardiac|cardio ?mediastinal)(?: (?:silhouette|shadow|contours?|size|outline))*"
_VEIN = r"(?:svc|superior vena cava|vena cava|cavo ?atrial|caval|atri(?:um|al)|brachiocephalic|innominate)"

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "pleural_effusion",
        "side",
        r"(?<!pericardial )(?<!joint )effusions?|hydro(?:pneumo)?thorax|pleural fluid|fluid in the (?:right "
        r"|left )?pleural",
    ),
    Finding("pneumothorax", "side", r"(?:hydro)?pneumothora(?:x|ces)|ptx"),
    Finding(
        "cardiomegaly",
        "none",
        rf"cardiomegaly|enlarge(?:d|ment of)(?: the)? {_HEART}|cardiac enlargement|large heart\b"
        rf"|{_HEART} (?:\w+ )?(?:is |are |appears? |remains? |looks? )(?:(?!normal|within|clear)\w+ ){{0,4}}?"
        rf"(?:enlarged|increased in size|increased|large\b)"
        rf"|{_HEART} (?:\w+ly )*enlarge(?:d|ment)"
        r"|cardiothoracic ratio (?:is |appears |of )?(?:\w+ )?(?:increased|elevated|enlarged|above|greater)"
        r"|increased (?:cardiothoracic ratio|heart size)",
    ),
    Finding(
        "nodule",
        "zone",
        r"nodules?|(?<!mediastinal )(?<!hilar )mass(?:es)?(?! effect)|nodular (?:opacit(?:y|ies)|densit(?:y|ies)"
        r"|lesions?|shadows?|focus|foci)"
        r"|(?:pulmonary|lung|coin|round(?:ed)?|spiculated|solitary|parenchymal) (?:\w+ )?lesions?"
        r"|round(?:ed)? (?:opacity|density|focus)",
    ),
    Finding(
        "consolidation",
        "lobe",
        r"consolidations?|consolidative|consolidated|air ?space (?:opacit(?:y|ies)|opacification|disease|shadowing"
        r"|process)|pneumonia|infiltrates?"
        r"|(?:patchy|dense|focal|confluent|lobar)(?: (?:parenchymal|lung|homogeneous|confluent))? (?:opacit(?:y|ies)"
        r"|opacification)|air bronchograms?",
    ),
    Finding(
        "interstitial_oedema",
        "none",
        r"(?<!soft tissue )(?<!subcutaneous )(?<!peripheral )(?<!leg )(?<!wall )o?edema|kerley|septal (?:lines?"
        r"|thickening)"
        r"|(?:congestive )?(?:heart|cardiac) failure with",
    ),
    Finding(
        "atelectasis",
        "side",
        r"atelecta(?:sis|ses|tic)|(?:lobar|lobe|segmental|lung|pulmonary|partial) collapse|collapse of the (?:right"
        r"|left)",
    ),
    Finding(
        "pacemaker",
        "none",
        r"pacemakers?|pacers?|pacing|a?icd|defibrillators?|(?:cardiac|implant(?:ed|able)) (?:rhythm |conduction "
        r"|electronic |cardiac )*devices?"
        r"|(?:dual|single|biventricular|three) (?:lead|chamber)|pulse generators?",
    ),
    Finding(
        "line",
        "none",
        r"(?:central|venous|jugular|subclavian|ij|dialysis|hickman|cv|tunneled|tunnelled)(?: (?:central|venous"
        r"|access|dialysis|vein|double|triple|lumen))*"
        r" (?:lines?|catheters?)|picc|central venous (?:access|device)|port ?a ?cath|mediport|(?:chest|infusion"
        r"|vascular access) port|swan ?ganz"
        rf"|(?:line|catheter)(?=[^,]* {_VEIN})",
    ),
)
"""The catalogue. A new finding is a row."""

_DETAIL = {finding.name: finding.detail for finding in FINDINGS}
_UNLOCATED = {f.name: frozenset({f.name}) if f.detail == "none" else frozenset[str]() for f in FINDINGS}
# A hydropneumothorax is two findings in one word; the later row is tried where the first one matched.
_TWO_IN_ONE = {"hydropneumothorax": "pneumothorax"}
# Said in the plural without a side, effusions are those of both sides.
_BOTH_SIDES = frozenset({"effusions", "pneumothoraces"})
_ZONES = tuple(f"{side}-{zone}" for side in ("right", "left") for zone in ("upper", "mid", "lower"))
_LOBES = {
    "right-upper": "right-upper",
    "right-mid": "right-middle",
    "right-lower": "right-lower",
    "left-upper": "left-upper",
}
# The left lung has no middle lobe: the lingula, which fills its mid zone, is part of the upper one.
_LOBES |= {"left-mid": "left-upper", "left-lower": "left-lower"}
_WORDS = re.compile(r"\b(?:" + "|".join(f"(?P<{finding.name}>{finding.words})" for finding in FINDINGS) + r")\b")

_SENTENCES = re.compile(
    r"(?<=[.!?;])(?<!\bdr\.)(?<!\bvs\.)(?<!approx\.)\s+|;\s*|\n\s*(?=\n|[-*•]|\d+[.)])|(?<=[a-z]\.)(?=[A-Z])"
)
_SPACES = re.compile(r"[\s\-‐-―_]+")
_SIDE_AND_SIDE = re.compile(
    rf"(?<!on )(?<!on the )(?<!at the )\b((?:right|left)(?: sided| upper| mid| middle| lower| apical"
    rf"| basal)?),? and (?=(?:a |an )?(?:{SIZES} )*(?:right|left)\b)"
)
_ZONE_AND_ZONE = re.compile(r"\b(upper|mid|middle|lower)(?: lobe| zone)?,? and (?=(?:upper|mid|middle|lower)\b)")
_PREPOSITION = re.compile(r" (?:in|at|on|of|within|over|overlying|involving|projecting)\b")
_SEAM = re.compile(
    r",|\b(?:and|or|with|otherwise|plus|also|as well as|there (?:is|are)|but|without|causing|obscuring"
    r"|above|below|suggest\w*"
    r"|consistent|compatible|due to)\b"
)

LABELS: tuple[str, ...] = (
    *(f"pleural_effusion:{side}" for side in BOTH),
    *(f"pneumothorax:{side}" for side in BOTH),
    "cardiomegaly",
    *(f"nodule:{zone}" for zone in _ZONES),
    *(f"consolidation:{lobe}" for lobe in dict.fromkeys(_LOBES.values())),
    "interstitial_oedema",
    *(f"atelectasis:{side}" for side in BOTH),
    "pacemaker",
    "line",
)
"""All located labels, in the order of tables."""


def find(text: str) -> frozenset[str]:
    """Reads the located findings that a report states.

    Args:
        text: A report or a part of one; sections, line breaks and lists are understood.

    Returns:
        A subset of `LABELS`; empty for a normal chest.
    """
    stated: set[str] = set()
    for mention in find_mentions(text):
        if mention.certainty is Certainty.PRESENT:
            stated |= mention.labels
    return frozenset(stated)


def find_mentions(text: str) -> Iterator[Mention]:
    """Reads every finding that a report speaks of, denied and uncertain ones too.

    Args:
        text: A report or a part of one.

    Yields:
        The mentions in reading order.
    """
    for sentence in _SENTENCES.split(text):
        if sentence:
            yield from _read_sentence(sentence)


def split_sentences(text: str) -> list[str]:
    """Cuts a text where `find` cuts it, for showing which sentence states what.

    Args:
        text: A report or a part of one.

    Returns:
        The sentences with the space that follows them; joined they are the text.
    """
    seams = [0, *(match.end() for match in _SENTENCES.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(seams) if end > start]


@lru_cache(maxsize=1 << 16)
def _read_sentence(sentence: str) -> tuple[Mention, ...]:
    """Reads one sentence; remembered, since reports repeat each other's sentences."""
    words = _SPACES.sub(" ", sentence.lower()).strip()
    # "And" within one place must not look like the seam between two findings.
    words = _ZONE_AND_ZONE.sub(r"\1 / ", _SIDE_AND_SIDE.sub(r"\1 / ", words))
    found = list(_WORDS.finditer(words))
    mentions: list[Mention] = []
    for number, match in enumerate(found):
        name = match.lastgroup or ""
        detail = _DETAIL[name]
        places = _places(words, found, number) if detail != "none" else frozenset[Place]()
        if not places and match.group() in _BOTH_SIDES:
            places = frozenset(Place(side, "") for side in BOTH)
        verdict = certainty(words, match.start(), match.end())
        mentions.append(Mention(name, places, verdict))
        if match.group() in _TWO_IN_ONE:
            mentions.append(Mention(_TWO_IN_ONE[match.group()], places, verdict))
    return tuple(mentions)


def _places(words: str, found: list[re.Match[str]], number: int) -> frozenset[Place]:
    """Locates one mention: by the words next to it, else by the rest of the sentence, nearest first."""
    match = found[number]
    fine = _DETAIL[match.lastgroup or ""] != "side"
    left_edge = found[number - 1].end() if number else 0
    right_edge = found[number + 1].start() if number + 1 < len(found) else len(words)
    before, after = words[left_edge : match.start()], words[match.end() : right_edge]
    near_before = _last_part(before)
    # What belongs to the next finding ("... and a left effusion") must not locate this one.
    near_after = after
    if number + 1 < len(found) and (_SEAM.search(after) or not _PREPOSITION.match(after)):
        near_after = after[: len(after) - len(_last_part(after))]
    own = near_before + " " + match.group()
    tail = _first_part(near_after)
    windows = [own, own + " " + tail, tail, own + " " + near_after, before + own]
    if number:
        windows += (
            [words[: match.start()]]
            if number == 1
            else [words[found[number - 2].end() : match.start()], words[: match.start()]]
        )
    if number + 1 < len(found) and _SEAM.search(after):
        follower = words[found[number + 1].end() :]
        windows.append(own + " " + _first_part(follower))
    return _first_complete(windows, fine)


def _first_complete(windows: list[str], fine: bool) -> frozenset[Place]:
    """Takes the first window that says all that is needed, from the nearest to the widest."""
    for window in windows:
        places = find_places(window)
        complete = frozenset(place for place in places if place.side and (place.zone or not fine))
        if complete:
            return complete
    return frozenset()


def _last_part(words: str) -> str:
    """Cuts off all before the last seam: what stands directly before a finding."""
    seams = list(_SEAM.finditer(words))
    return words[seams[-1].start() :] if seams else words


def _first_part(words: str) -> str:
    """Keeps what follows a finding up to the next seam; a comma that only adds a place is no seam."""
    for seam in _SEAM.finditer(words):
        if seam.start() > 1:
            return words[: seam.start()]
    return words


def _label(finding: str, place: Place) -> str:
    """Names a finding at a place as `LABELS` does, or "" when the place is not fine enough."""
    detail = _DETAIL[finding]
    if detail == "none":
        return finding
    if not place.side or (detail != "side" and not place.zone):
        return ""
    if detail == "side":
        return f"{finding}:{place.side}"
    zone = f"{place.side}-{place.zone}"
    return f"{finding}:{_LOBES[zone] if detail == 'lobe' else zone}"
