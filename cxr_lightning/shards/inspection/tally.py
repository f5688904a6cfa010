"""What samples hold, counted: each shard's worker counts its own, and counts add up.

No text is kept, only how long it is, what it names, and a digest by which equal texts are known.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.observations import observe
from cxr_lightning.reports.identifiers import kinds_in
from cxr_lightning.reports.residue import residue_of

_STATES = (Certainty.PRESENT, Certainty.UNCERTAIN, Certainty.ABSENT)


@dataclass(slots=True)
class Tally:
    """Counts of samples.

    Attributes:
        samples: By split.
        words: Samples by the words of their summary.
        turns: Samples by their number of turns.
        views: Samples by what they show ("frontal + lateral").
        sizes: Images by width and height.
        observations: Samples by split, observation and certainty.
        labels: Samples by located finding.
        labelled: Samples by whether their findings are known.
        sources: Samples by source and licence.
        residue: Texts by what cleaning should have removed.
        identifiers: Samples by kind of identifier.
        texts: Samples by digest of their summary.
    """

    samples: Counter[str] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    observations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    labelled: Counter[bool] = field(default_factory=Counter)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    residue: Counter[str] = field(default_factory=Counter)
    identifiers: Counter[str] = field(default_factory=Counter)
    texts: Counter[bytes] = field(default_factory=Counter)

    def add_texts(self, split: str, summary: str, texts: Iterable[str]) -> tuple[str, ...]:
        """Count what is said.

        Args:
            split: The sample's split.
            summary: Its summary.
            texts: All its texts, the summary included.

        Returns:
            The kinds of identifiers that are in them.
        """
        self.words[len(summary.split())] += 1
        if summary:
            self.texts[hashlib.blake2b(summary.encode(errors="replace"), digest_size=8).digest()] += 1
            self.residue.update(residue_of(summary))
            for name, each in observe(summary[:_MOST_READ]).readings.items():
                if each.certainty in _STATES:
                    self.observations[split, name, str(each.certainty)] += 1
        kinds = frozenset[str]().union(*map(kinds_in, texts))
        self.identifiers.update(kinds)
        return tuple(sorted(kinds))

    def extend(self, other: Tally) -> None:
        """Add another's counts.

        Args:
            other: The other.
        """
        for each in fields(self):
            getattr(self, each.name).update(getattr(other, each.name))


_MOST_READ = 20_000
"""Characters of a summary that are read for findings; a report has some hundreds."""
