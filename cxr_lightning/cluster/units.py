"""Bytes as people say them."""

from __future__ import annotations


def size(count: float) -> str:
    """Writes bytes with the unit that suits them."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= least:
            return f"{count / least:,.3g} {unit}"
    return f"{count / 1e3:,.0f} kB"
