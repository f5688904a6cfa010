"""A word on how a radiograph was taken enters; frontal, lateral or unknown leaves. And views, as they are hung."""

from __future__ import annotations

from collections.abc import Iterable

from cxr_lightning.study import Position, View

FRONTAL_WORDS = frozenset({"frontal", "pa", "ap", "postero-anterior", "antero-posterior", "posteroanterior"})
LATERAL_WORDS = frozenset({"lateral", "lat", "ll", "rl", "l", "left lateral", "right lateral", "xtable lateral"})
_RANK: dict[Position, int] = {"frontal": 0, "unknown": 1, "lateral": 2}


def position_of(word: str) -> Position:
    """Tell the side from a source's word.

    Args:
        word: "PA", "AP supine", "LL", "left lateral" ...
    """
    plain = word.lower().strip()
    if plain in LATERAL_WORDS:
        return "lateral"
    # "AP SUPINE", "PA ERECT", "frontal portable": the first word says it.
    return "frontal" if plain and plain.split()[0] in FRONTAL_WORDS else "unknown"


def hung(views: Iterable[View]) -> tuple[View, ...]:
    """Order views as a reader hangs them: frontal ones first, lateral ones last.

    Args:
        views: A study's views, in the source's order, which stays where positions are equal.
    """
    return tuple(sorted(views, key=lambda view: _RANK[view.position]))
