"""A report's text and the sections that a source has apart enter, the report leaves."""

from __future__ import annotations

from cxr_lightning.reports.sections import split_sections
from cxr_lightning.study import Report


def report_of(
    text: str,
    findings: str = "",
    impression: str = "",
    indication: str = "",
    technique: str = "",
    comparison: str = "",
) -> Report:
    """Put a report together.

    Args:
        text: The free text, which sections are taken from that the source does not have apart.
        findings: The findings, apart.
        impression: The impression, apart.
        indication: Why the study was done, apart.
        technique: How it was done, apart.
        comparison: Which earlier studies the reader had, apart.
    """
    parsed = split_sections(text) if text else Report()
    # Where the source gives one of the two telling sections apart, free text must not fill the other.
    told = bool(findings or impression)
    return Report(
        text=text,
        indication=indication or parsed.indication,
        technique=technique or parsed.technique,
        comparison=comparison or parsed.comparison,
        findings=findings if told else parsed.findings,
        impression=impression if told else parsed.impression,
        amended=parsed.amended,
    )
