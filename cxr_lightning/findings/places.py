"""Where a report puts what it names: sides, and the upper, middle or lower part of a lung.

Enters the words around a mention; leaves a set of `Place`s. Sides and zones are paired in reading order, because
"right upper and left lower lobes" is two places, not four.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Place(NamedTuple):
    """A side ("left", "right"; "" unsaid) and a third of the lung ("upper", "mid", "lower"; "" unsaid)."""

    side: str
    zone: str


BOTH = ("left", "right")

# Not a side of the chest: chambers, vessels by which a catheter goes, and where the mediastinum moves to.
_VESSELS = (
    r"(?:atri|ventric|heart|cardiac|internal|external|subclavian|jugular|ij\b|brachio|axillary|main|pulmonary arter"
    r"|hemidiaphragm is normal)"
)
_ELSEWHERE = re.compile(
    r"(?:shift|deviat|displac|push|tilt|rotat)\w*(?: \w+){0,4}? to(?:wards?)? the (?:right|left)"
    r"|patient is rotated to the (?:right|left)"
)
_TOKENS = re.compile(
    rf"\b(?:(?P<right>right(?! {_VESSELS})|rt)|(?P<left>left(?! {_VESSELS})|lt)|(?P<both>bilateral(?:ly)?|both"
    rf"|each side)"
    r"|(?P<bilower>bi ?(?:basilar|basal|basally)|bases)|(?P<biupper>bi ?apical|apices)"
    r"|(?P<rul>rul)|(?P<rml>rml|(?<!right )middle lobe)|(?P<rll>rll)|(?P<lul>lul)|(?P<lll>lll|retrocardiac)"
    r"|(?P<lingula>lingul\w+)"
    r"|(?P<upper>upper(?! (?:limit|abdom|thorac|extrem|gastro|svc|spine))|apex|apical|apically|suprahilar)"
    r"|(?P<mid>mid(?:dle|lung|zone)?(?! (?:thorac|svc|clavic|line|superior|spine|axill))|perihilar|parahilar"
    r"|infrahilar|juxtahilar)"
    r"|(?P<lower>lower(?! (?:thorac|abdom|extrem|svc|superior|third of the svc))|base|basal|basally|basilar"
    r"|supradiaphragmatic))\b"
)
_FIXED = {
    "rul": Place("right", "upper"),
    "rml": Place("right", "mid"),
    "rll": Place("right", "lower"),
    "lul": Place("left", "upper"),
    "lll": Place("left", "lower"),
    "lingula": Place("left", "mid"),
}
_PAIRED = {"bilower": "lower", "biupper": "upper"}


def names_a_place(words: str) -> bool:
    """Says whether there is anything to find: most sentences of normal reports name no place at all.

    Args:
        words: Lower-case words of a sentence.
    """
    return _TOKENS.search(words) is not None


def find_places(words: str) -> frozenset[Place]:
    """Reads the places named in a stretch of text.

    Args:
        words: Lower-case words around a mention.

    Returns:
        Every place said; a side without a zone and a zone without a side keep the other half empty.
    """
    if "the right" in words or "the left" in words:
        words = _ELSEWHERE.sub(" ", words)
    tokens = [match.lastgroup or "" for match in _TOKENS.finditer(words)]
    places: set[Place] = {_FIXED[token] for token in tokens if token in _FIXED}
    groups = _groups([token for token in tokens if token not in _FIXED])
    for sides, zones in groups:
        places |= {Place(side, zone) for side in sides or ("",) for zone in zones or ("",)}
    return frozenset(places)


def _groups(tokens: list[str]) -> list[tuple[list[str], list[str]]]:
    """Pairs runs of sides with runs of zones in reading order, whichever of the two comes first."""
    runs: list[tuple[str, list[str]]] = []
    for token in tokens:
        for kind, values in _values(token):
            if runs and runs[-1][0] == kind:
                runs[-1][1].extend(values)
            else:
                runs.append((kind, list(values)))
    groups: list[tuple[list[str], list[str]]] = []
    for position in range(0, len(runs), 2):
        pair = dict(runs[position : position + 2])
        groups.append((pair.get("side", []), pair.get("zone", [])))
    return groups


def _values(token: str) -> list[tuple[str, tuple[str, ...]]]:
    """Says what sides and zones one word stands for."""
    if token in _PAIRED:
        zone = ("zone", (_PAIRED[token],))
        return [("side", BOTH), zone]
    if token == "both":
        return [("side", BOTH)]
    return [("side" if token in BOTH else "zone", (token,))]
