"""What an inspection came to, for people and for machines: the same numbers in the table, in JSON and on the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning import __version__
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.observations import OBSERVATIONS
from cxr_lightning.reports import identifiers, residue
from cxr_lightning.shards.inspection.checks import CHECKS, Findings
from cxr_lightning.shards.inspection.opening import Opened
from cxr_lightning.shards.inspection.tally import Tally
from cxr_lightning.site import shown
from cxr_lightning.study import SPLITS

SCHEMA = 1
"""Of the JSON; `docs/inspect.md` describes it. A field may be added without a new number."""
MOST_LISTED = 10_000
_MOST_SIZES = 500
_OF_SAMPLES = ("checksums", "keys", "records", "images", "splits", "text", "conversation", "identifiers")


@dataclass(frozen=True, slots=True)
class Looked:
    """How far an inspection looked.

    Attributes:
        samples: Samples that could be looked at.
        listed: Samples that the index lists; None where there is none.
        bytes: Bytes that were read.
        seconds: How long it took.
        decoded: Whether images were decoded.
        sampled: Whether only some samples were looked at.
        patients: Different patients.
        packed: Whether `cxr pack` wrote the samples: what others wrote has no records.
        rows: Whether an index said what and where the samples are.
        films: Images that could be looked at.
        looks: Whether any of them has a look.
    """

    samples: int
    listed: int | None
    bytes: int
    seconds: float
    decoded: bool
    sampled: bool
    patients: int
    packed: bool
    rows: bool
    films: int
    looks: bool

    @property
    def lost(self) -> int:
        """Samples that the index lists and that could not be read, where all were to be looked at."""
        return 0 if self.listed is None or self.sampled else max(0, self.listed - self.samples)

    @property
    def unlooked(self) -> frozenset[str]:
        """The checks that were not made: an option turned them off, or there is nothing that they could look at."""
        reasons = (
            (self.sampled, ("shards", "tar", "samples")),
            (self.listed is None, ("shards",)),
            (not self.rows, ("rows", "checksums", "samples")),
            (not self.packed, ("records", "conversation")),
            (not (self.packed or self.films), ("images",)),
            (not (self.packed or self.rows), ("splits",)),
            (not (self.decoded and self.films), ("decode", "duplicates")),
            (not self.looks, ("alike",)),
            (not self.samples, _OF_SAMPLES),
        )
        return frozenset(name for holds, names in reasons if holds for name in names)


@dataclass(frozen=True, slots=True)
class Result:
    """What an inspection came to.

    Attributes:
        opened: What was inspected.
        findings: What is wrong.
        tally: What the samples hold.
        looked: How far it looked.
        lenient: Checks whose errors are told and do not fail.
        strict: Whether warnings fail too.
    """

    opened: Opened
    findings: Findings
    tally: Tally
    looked: Looked
    lenient: frozenset[str]
    strict: bool

    @property
    def errors(self) -> int:
        """Errors, those of lenient checks aside."""
        counts = self.findings.counts.items()
        return sum(count for (name, each), count in counts if each == "error" and name not in self.lenient)

    @property
    def warnings(self) -> int:
        """Warnings, and errors of lenient checks."""
        return sum(self.findings.counts.values()) - self.errors

    @property
    def good(self) -> bool:
        """Whether the set may be used."""
        return not (self.errors or (self.strict and self.warnings))

    def looked_at(self, check: str) -> bool:
        """Say whether a check was made; one that found something was.

        Args:
            check: Its name.
        """
        counts = self.findings.counts
        return check not in self.looked.unlooked or bool(counts[check, "error"] or counts[check, "warning"])

    def in_part(self, check: str) -> bool:
        """Say whether a check was made of fewer samples than the index lists, for the others could not be read.

        Args:
            check: Its name.
        """
        return bool(self.looked.lost) and check in (*_OF_SAMPLES, "decode", "duplicates", "alike")

    def severity(self, check: str, severity: str) -> str:
        """Say how bad something is here.

        Args:
            check: Which check found it.
            severity: How bad that is by itself.
        """
        return "warning" if check in self.lenient else severity


def as_json(result: Result) -> str:
    """Write a result for machines.

    Args:
        result: What the inspection came to.
    """
    return json.dumps(as_record(result), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_record(result: Result) -> dict[str, Any]:
    """Lay a result out as `docs/inspect.md` describes it.

    Args:
        result: What the inspection came to.
    """
    record, looked, told = result.opened.record, result.looked, result.findings.told[:MOST_LISTED]
    return {
        "schema": SCHEMA,
        "created_by": f"cxr-lightning {__version__}",
        "good": result.good,
        "errors": result.errors,
        "warnings": result.warnings,
        "set": {
            "root": shown(result.opened.root),
            "fingerprint": "" if record is None else record["fingerprint"],
            "created_by": "" if record is None else record["created_by"],
            "shards": len(result.opened.tars),
            "packed": result.opened.members is None,
        },
        "looked": {
            "samples": looked.samples,
            "listed": looked.listed,
            "lost": looked.lost,
            "patients": looked.patients,
            "bytes": looked.bytes,
            "seconds": round(looked.seconds, 3),
            "decoded": looked.decoded,
            "sampled": looked.sampled,
        },
        "checks": [_check(result, name) for name in CHECKS],
        "wrong": [
            {
                "check": each.check,
                "severity": result.severity(each.check, each.severity),
                "shard": each.shard,
                "key": each.key,
                "what": each.what,
                "remedy": each.remedy,
            }
            for each in told
        ],
        "wrong_not_listed": sum(result.findings.counts.values()) - len(told),
        "held": held(result.tally),
    }


def _check(result: Result, name: str) -> dict[str, Any]:
    errors, warnings = result.findings.counts[name, "error"], result.findings.counts[name, "warning"]
    lenient = name in result.lenient
    return {
        "name": name,
        "title": CHECKS[name].title,
        "looked": result.looked_at(name),
        "in_part": result.in_part(name),
        "errors": 0 if lenient else errors,
        "warnings": errors + warnings if lenient else warnings,
    }


def held(tally: Tally) -> dict[str, Any]:
    """Lay out what samples hold.

    Args:
        tally: The counts.
    """
    texts = sum(tally.texts.values())
    states = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT)
    return {
        "samples": {split: tally.samples[split] for split in SPLITS},
        "summaries": {
            "there": texts,
            "different": len(tally.texts),
            "commonest": max(tally.texts.values(), default=0),
        },
        "words": {**spread(tally.words), "counts": sorted(tally.words.items())},
        "turns": sorted(tally.turns.items()),
        "views": tally.views.most_common(),
        "sizes": [[width, height, count] for (width, height), count in tally.sizes.most_common(_MOST_SIZES)],
        "sides": sorted(_sides(tally.sizes).items()),
        "observations": {
            name: {
                split: {str(state): tally.observations[split, name, str(state)] for state in states} for split in SPLITS
            }
            for name in OBSERVATIONS
        },
        "labels": tally.labels.most_common(),
        "labelled": tally.labelled[True],
        "sources": [[source, licence, count] for (source, licence), count in tally.sources.most_common()],
        "residue": {kind: tally.residue[kind] for kind in residue.KINDS},
        "identifiers": {kind: tally.identifiers[kind] for kind in identifiers.KINDS},
    }


def spread(counts: Mapping[int, int]) -> dict[str, float]:
    """Say where numbers lie.

    Args:
        counts: How often each is there.

    Returns:
        least, median, mean and most; none of them for no number.
    """
    total, before = sum(counts.values()), 0
    if not total:
        return {}
    median = 0
    for number in sorted(counts):
        before += counts[number]
        if 2 * before >= total:
            median = number
            break
    mean = sum(number * count for number, count in counts.items()) / total
    return {"least": min(counts), "median": median, "mean": round(mean, 1), "most": max(counts)}


def _sides(sizes: Mapping[tuple[int, int], int]) -> Counter[int]:
    sides: Counter[int] = Counter()
    for (width, height), count in sizes.items():
        sides[max(width, height)] += count
    return sides
