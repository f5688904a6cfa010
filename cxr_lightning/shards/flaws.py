"""What is left out of a pack is counted here, and too much of it stops the pack with a list to act on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from cxr_lightning.reports.sources import Flaw

MOST_LISTED = 20


class TooManyFlaws(ValueError):
    """More studies are bad than allowed; the message lists them."""


class Flaws:
    """Counts what is left out and says when too much of it is bad.

    Args:
        studies: Number of studies, bad ones included.
        max_bad: Share that may be bad.
    """

    def __init__(self, studies: int, max_bad: float) -> None:
        self.seen: list[Flaw] = []
        self._bad: list[Flaw] = []
        self._studies = studies
        self._allowed = math.floor(studies * max_bad + 1e-9)

    def extend(self, flaws: Iterable[Flaw]) -> None:
        """Count flaws.

        Args:
            flaws: What was found to be bad.

        Raises:
            TooManyFlaws: Too many are bad. Not at the first one too many, but when the list is long enough to act on.
        """
        for flaw in flaws:
            self.seen.append(flaw)
            if flaw.bad:
                self._bad.append(flaw)
            if len(self._bad) > max(self._allowed, MOST_LISTED):
                self.refuse_many("at least ")  # what comes behind was not looked at

    def refuse_many(self, about: str = "") -> None:
        """Stop if more is bad than allowed.

        Args:
            about: What to say before the number.

        Raises:
            TooManyFlaws: It is; the message lists file, line and reason.
        """
        if len(self._bad) > self._allowed:
            raise TooManyFlaws(
                f"{about}{len(self._bad)} of {self._studies} studies cannot be packed, and {self._allowed} may be "
                "skipped; there are no shards yet. Mend them, or allow a larger share with --max_bad:"
                + _listed(self._bad)
            )

    def settle(self, samples: int) -> None:
        """Stop if more is bad than allowed, or if nothing is left.

        Args:
            samples: How many samples are left.

        Raises:
            TooManyFlaws: It is; the message lists file, line and reason.
        """
        self.refuse_many()
        if not samples:
            raise TooManyFlaws(
                f"none of {self._studies} studies can be packed; nothing was written:" + _listed(self.seen)
            )


def _listed(flaws: list[Flaw]) -> str:
    more = f"\n  and {len(flaws) - MOST_LISTED} more" if len(flaws) > MOST_LISTED else ""
    shown = sorted(flaws, key=lambda flaw: _place(flaw.where))[:MOST_LISTED]  # studies are packed in a drawn order
    return "".join(f"\n  {flaw.where}: {flaw.kind}: {flaw.reason}" for flaw in shown) + more


def _place(where: str) -> list[tuple[int, str]]:
    """Orders "table.csv:9" before "table.csv:10"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", where)]
