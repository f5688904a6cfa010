"""What inspection looks at, a row a check, and what it found: where, what, and how to mend it.

Whoever packs, copies or trains acts on this list, so nothing ends it early; and it may be sent to others, so it names
samples by their hashed keys and holds no word of a report.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]
MOST_TOLD = 200
"""Of one check in one shard what is listed; the rest is counted."""


@dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    Attributes:
        title: What is right when nothing is found.
        remedy: What to do about what is found.
    """

    title: str
    remedy: str


_COPY = "copy the shard again; a new index would call the damage good"
_PACK = "mend the source and pack again (cxr pack)"

CHECKS: dict[str, Check] = {
    "index": Check(
        "index.json is readable, of this schema, and agrees with itself", "copy it again, or make it again: cxr index"
    ),
    "rows": Check(
        "index.npy is the file that the index was written with, and says what the samples are",
        "copy index.json and index.npy again, or make both again: cxr index",
    ),
    "shards": Check("every shard is there, of the listed size and SHA-256", _COPY),
    "tar": Check("shards are whole tars of plain files, whose names stay in their folder", _COPY),
    "checksums": Check("every sample has the CRC-32 that the index lists", _COPY),
    "samples": Check("the index lists every sample of the tars, and the tars hold every one of the index", _COPY),
    "keys": Check("a key names one sample", "leave one of them out, or pack again"),
    "records": Check("every sample's record has the fields of this schema, each of its type", _PACK),
    "images": Check("every image of a record is there, of the format and size that it says", _PACK),
    "decode": Check("every image decodes to its end, and shows something", _PACK),
    "splits": Check(
        "a sample is in the split of its record, and a patient in one split alone",
        "give all of a patient's studies one split, and pack or index again",
    ),
    "duplicates": Check(
        "no film is stored twice",
        "leave one of them out at the source, or pack again without --duplicates keep; if it is meant: "
        "--warn duplicates",
    ),
    "alike": Check(
        "no two patients have nearly the same film",
        "look at both; if they are one film, leave one out, or give both patients one split",
    ),
    "text": Check("no summary or answer is empty, of a word, without end, or spoilt by a wrong encoding", _PACK),
    "conversation": Check("turns alternate, the user first, and mark no more images than there are", _PACK),
    "identifiers": Check(
        "no text holds a date, a name, a number, an address or an age that may name someone",
        "look at the sample's texts; de-identify them at the source, and pack again, or with --identifiers leave_out",
    ),
}
"""All checks by name, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong.

    Attributes:
        check: Which check found it.
        severity: An error fails the inspection, a warning does with --strict.
        shard: Name of the shard; empty where it is of the set.
        key: The sample's hashed key; empty where it is of the shard.
        what: What was found.
    """

    check: str
    severity: Severity
    shard: str
    key: str
    what: str

    @property
    def remedy(self) -> str:
        """What to do."""
        return CHECKS[self.check].remedy

    def __str__(self) -> str:
        """Says all of it in a line."""
        where = ", ".join(part for part in (self.shard, f"sample {self.key}" if self.key else "") if part)
        return f"{self.check}: {where + ': ' if where else ''}{self.what}"


@dataclass(slots=True)
class Findings:
    """Takes down what is wrong, of one shard or of all.

    Attributes:
        counts: How often, by check and severity.
        told: The first of each.
    """

    counts: Counter[tuple[str, Severity]] = field(default_factory=Counter)
    told: list[Wrong] = field(default_factory=list)

    def add(self, check: str, what: str, *, shard: str = "", key: str = "", severity: Severity = "error") -> None:
        """Take one down.

        Args:
            check: Which of `CHECKS`.
            what: What was found.
            shard: Name of the shard.
            key: The sample's hashed key.
            severity: error or warning.
        """
        self.counts[check, severity] += 1
        if self.counts[check, severity] <= MOST_TOLD:
            self.told.append(Wrong(check, severity, shard, key, what))

    def extend(self, other: Findings) -> None:
        """Take down what was found elsewhere.

        Args:
            other: Its findings, none of which is here.
        """
        self.counts += other.counts
        self.told += other.told

    def number(self, severity: Severity) -> int:
        """Count.

        Args:
            severity: error or warning.
        """
        return sum(count for (_, each), count in self.counts.items() if each == severity)
