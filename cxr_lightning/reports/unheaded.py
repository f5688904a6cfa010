"""A report enters, what looks like a heading and is none that is known leaves: in German, or of a house of its own.

What stands below such a heading stays in the section before, and the heading with it, so an archive that is full of
them is read wrongly without any error. Only what many reports have is told: a name may stand before a colon, too.
"""

from __future__ import annotations

import re
from collections import Counter

from cxr_lightning.reports.headings import section_of

_SHOUTED = re.compile(r"^[ \t]*([^\W\d_a-zß-öø-ÿ][^\W\d_a-zß-öø-ÿ /&-]{3,39}?)[ \t]*:", re.MULTILINE)
_LEAST, _SHARE = 5, 0.02
_MOST_TOLD = 8


def unknown_headings(text: str) -> frozenset[str]:
    """Finds words in capitals before a colon, at a line's start, that open no section.

    Args:
        text: A report as written.
    """
    return frozenset(name for name in _SHOUTED.findall(text) if section_of(name) is None)


def recurring(found: Counter[str], reports: int) -> list[tuple[str, int]]:
    """Chooses what to tell: headings that recur, of which no name of a patient can be one.

    Args:
        found: In how many reports each stands.
        reports: How many reports there are.
    """
    least = max(_LEAST, _SHARE * reports)
    often = [(name, count) for name, count in found.items() if count >= least]
    return sorted(often, key=lambda each: (-each[1], each[0]))[:_MOST_TOLD]
