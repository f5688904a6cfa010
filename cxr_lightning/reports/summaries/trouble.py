"""Why summaries are not written, or not further."""

from __future__ import annotations


class SummariesError(ValueError):
    """Summaries cannot be written so: a line is no report's, or the server refuses too much."""
