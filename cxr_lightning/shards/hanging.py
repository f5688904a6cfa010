"""Views as their source knows them enter, and leave as a reader hangs them: frontal first, lateral last.

Where a source does not say how a film was taken, a DICOM's header often does; only what stands before its pixels is
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.shards.images import MOST_PIXELS, is_dicom
from cxr_lightning.study import Position, View

_HEADER = 1 << 18
"""Bytes in which the elements of interest stand; larger headers hold private things."""


def hung_by_header(views: Sequence[View]) -> tuple[View, ...]:
    """Fills in positions that only the files know, and hangs the views.

    Args:
        views: A study's views.

    Returns:
        The views as they came, where each is known already; else frontal ones first, lateral ones last.
    """
    if all(view.position != "unknown" for view in views):
        return tuple(views)
    known = [replace(view, position=_said_by(view.path)) if view.position == "unknown" else view for view in views]
    return hung(known)


def _said_by(path: Path) -> Position:
    """Reads ViewPosition (0018,5101), else what ViewCodeSequence (0054,0220) means; what cannot be read is unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
        if not is_dicom(head):
            return "unknown"
        # Only here, for pydicom is an extra and slow to import; by way of the module that silences what it would quote.
        from cxr_lightning.shards.dataset import read_dataset

        names = ["ViewPosition", "ViewCodeSequence"]
        header = read_dataset(head, MOST_PIXELS, stop_before_pixels=True, specific_tags=names)
        codes = header.get("ViewCodeSequence") or []
        words = [str(header.get("ViewPosition") or ""), *(str(code.get("CodeMeaning") or "") for code in codes)]
    except Exception:  # what is wrong with the file, decoding says better
        return "unknown"
    return next((position for word in words if (position := position_of(word)) != "unknown"), "unknown")
