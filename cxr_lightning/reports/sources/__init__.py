"""Where studies come from: each source turns a data set's own layout into a stream of studies.

A further source is one more function of the same shape and one more line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cxr_lightning.reports.sources.columns import Columns
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError
from cxr_lightning.reports.sources.table import read_table

Source = Callable[[Path, Columns, bool], Iterator[Found | Flaw]]
"""Reads what lies under a root; the columns matter to tables only. The last says whether studies may lack an image."""

SOURCES: dict[str, Source] = {"table": read_table}


def open_source(name: str, root: Path, columns: Columns, text_only: bool = False) -> Iterator[Found | Flaw]:
    """Open a source by its name.

    Args:
        name: A key of `SOURCES`.
        root: Where the data lies.
        columns: Column names, for sources that are tables.
        text_only: Whether studies may lack an image; a path that is given and leads nowhere is an error all the same.

    Raises:
        SourceError: No source has that name.
    """
    if name not in SOURCES:
        raise SourceError(f"no source is called '{name}'; there is: {', '.join(SOURCES)}")
    return SOURCES[name](root, columns, text_only)


__all__ = ["SOURCES", "Columns", "Flaw", "Found", "Source", "SourceError", "open_source"]
