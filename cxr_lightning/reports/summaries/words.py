"""Words that change what a finding means, and that no summary may bring: old for acute, below for above."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cxr_lightning.reports.summaries.fault import Fault

_FAMILIES = tuple(
    re.compile(rf"\b(?:{words})", re.IGNORECASE)
    for words in (
        r"acute\b", r"(?:old|healed|healing|remote|chronic)\b", r"(?:malignan|metasta|cancer|neoplas|carcinoma)\w*",
        r"benign\b", r"above\b", r"below\b", r"(?:stomach|gastric)\b", r"o?esophag\w*",
    )
)  # fmt: skip
_NOT_LARGE = re.compile(r"\b(?:no|without) (?:\w+ )?(?:large|big|small|sizable|sizeable|significant)\b", re.IGNORECASE)


def word_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares the words by which findings of one name differ.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What the summary brought, or left out of a denial.
    """
    for family in _FAMILIES:
        said = family.search(summary)
        if said and not family.search(source):
            yield Fault("qualifier", f'the report nowhere says "{said[0].lower()}"')
    if bool(_NOT_LARGE.search(source)) != bool(_NOT_LARGE.search(summary)):
        yield Fault("qualifier", 'keep what is denied: "no large" is not "no", and "no" is not "no large"')
    if not "".join(summary.split()).isprintable() and "".join(source.split()).isprintable():
        yield Fault("form", "write letters alone that can be seen")
