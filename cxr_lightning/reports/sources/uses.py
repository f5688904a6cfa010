"""A source's word for a split enters ("val", "training"), ours leaves."""

from __future__ import annotations

from collections.abc import Iterable

from cxr_lightning.reports.sources.found import StudyError
from cxr_lightning.study import Split

SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validate": "validate",
    "validation": "validate",
    "valid": "validate",
    "val": "validate",
    "dev": "validate",
    "test": "test",
    "testing": "test",
}


def use_named(words: Iterable[str]) -> Split | None:
    """Read what a study's rows say of its use.

    Args:
        words: A word of each row, empty where the row says nothing.

    Returns:
        The use, or None where none is prescribed.

    Raises:
        StudyError: They do not name one use that is known.
    """
    said = {word.strip().lower() for word in words} - {""}
    uses = {SPLIT_WORDS.get(word) for word in said}
    if None in uses or len(uses) > 1:
        raise StudyError("split unclear", "its rows do not name one split: train, validate or test")
    return uses.pop() if uses else None
