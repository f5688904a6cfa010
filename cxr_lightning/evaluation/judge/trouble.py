"""Why a judge is not asked, or not asked further."""

from __future__ import annotations


class JudgeError(ValueError):
    """A judge cannot be asked so: the folders do not fit, or the server refuses too much."""
