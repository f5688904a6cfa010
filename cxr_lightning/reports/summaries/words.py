"""Denials that shrink or grow ("no large" is not "no"), and letters that nobody sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cxr_lightning.reports.summaries.fault import Fault

_NOT_LARGE = re.compile(r"\b(?:no|without) (?:\w+ )?(?:large|big|small|sizable|sizeable|significant)\b", re.IGNORECASE)


def word_faults(source: str, summary: str) -> Iterator[Fault]:
    """Compares how much is denied, and looks for what cannot be read.

    Args:
        source: The report's text.
        summary: The summary's.

    Yields:
        What the summary brought, or left out.
    """
    if bool(_NOT_LARGE.search(source)) != bool(_NOT_LARGE.search(summary)):
        yield Fault("qualifier", 'keep what is denied: "no large" is not "no", and "no" is not "no large"')
    if not "".join(summary.split()).isprintable() and "".join(source.split()).isprintable():
        yield Fault("form", "write letters alone that can be seen")
