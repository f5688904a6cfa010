"""What source and summary claim, finding by finding: the same is there, denied or left open, on the same side, as much.

The 14 observations are read by `findings`, with sides, zones and severity; what lies outside them is a term.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cxr_lightning.findings.catalogue import BY_NAME
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import Mention, find_mentions
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.marks import read_marks
from cxr_lightning.reports.summaries.terms import find_terms

_WEIGHT = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT)
_SAID = {
    Certainty.PRESENT: "is there",
    Certainty.ABSENT: "is not there",
    Certainty.UNCERTAIN: "may be there",
}
_GRADES = {"small": 1, "moderate": 2, "large": 3}
_STEPS = {1: "mild or small", 2: "moderate", 3: "severe or large"}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a text claims of one finding.

    Attributes:
        certainty: Where sentences differ, what is stated outweighs what is left open, and that a denial.
        sides: Where it is stated, "left", "right" or both; none where no side is said.
        zones: Side and third of the lung, where both are said.
        severities: All that are said.
    """

    certainty: Certainty
    sides: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    severities: frozenset[int] = frozenset()


def find_claims(text: str) -> dict[str, Claim]:
    """Reads what a text claims.

    Args:
        text: A report or a summary.

    Returns:
        Claims by the name of the finding; of what is not mentioned, none.
    """
    mentions: dict[str, list[Mention]] = {}
    for mention in find_mentions(text):
        for name in BY_NAME[mention.finding].observations:
            mentions.setdefault(name.lower(), []).append(mention)
    claims = {name: _merged(found) for name, found in mentions.items()}
    return claims | {name: Claim(verdict) for name, verdict in find_terms(text).items()}


def _merged(mentions: list[Mention]) -> Claim:
    verdict = min((each.certainty for each in mentions), key=_WEIGHT.index)
    chosen = [each for each in mentions if each.certainty is verdict]
    places = {place for each in chosen for place in each.places if place.side}
    return Claim(
        verdict,
        frozenset(place.side for place in places),
        frozenset(f"{place.side} {place.zone}" for place in places if place.zone),
        frozenset(int(each.severity) for each in chosen if each.severity is not None),
    )


def claim_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares what two texts claim.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What differs.
    """
    theirs, ours = find_claims(source), find_claims(summary)
    # "Small left and large right effusions" is one mention of the highest grade; which is where, `swaps` compares.
    granted = _elliptic(source) | _elliptic(summary)
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            yield Fault("finding lost", f"the report says that {name} {_SAID[theirs[name].certainty]}; say so")
        elif name not in theirs:
            yield Fault("finding invented", f"you speak of {name}, of which the report says nothing; leave it out")
        else:
            yield from _differences(name, theirs[name], ours[name], granted)


def _elliptic(text: str) -> frozenset[int]:
    """Returns the grades that stand without their finding."""
    marks = (mark for mark in read_marks(text) if mark.axis == "severity" and mark.sides and not mark.words)
    return frozenset(_GRADES[mark.value] for mark in marks)


def _differences(name: str, source: Claim, summary: Claim, granted: frozenset[int]) -> Iterator[Fault]:
    if source.certainty is not summary.certainty:
        kind = "negation" if Certainty.ABSENT in (source.certainty, summary.certainty) else "how sure"
        yield Fault(
            kind,
            f"the report says that {name} {_SAID[source.certainty]}, and you that it {_SAID[summary.certainty]}",
        )
        return
    if source.certainty is Certainty.ABSENT:
        return
    if source.sides != summary.sides:
        yield Fault("side", f"the report has {name} {_sided(source)}, and you {_sided(summary)}")
    elif source.zones != summary.zones:
        yield Fault("place", f"the report has {name} in the {_listed(source.zones)}, and you {_listed(summary.zones)}")
    if source.severities - granted != summary.severities - granted:
        yield Fault("severity", f"the report calls {name} {_sized(source)}, and you {_sized(summary)}")


def _sided(claim: Claim) -> str:
    return {0: "without a side", 1: f"on the {''.join(claim.sides)}"}.get(len(claim.sides), "on both sides")


def _sized(claim: Claim) -> str:
    return (
        _listed(frozenset(_STEPS[step] for step in claim.severities)) if claim.severities else "neither small nor large"
    )


def _listed(words: frozenset[str]) -> str:
    return " and ".join(sorted(words)) or "nowhere in particular"
