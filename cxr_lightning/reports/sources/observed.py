"""CheXpert's labels of each study enter, as lists have them; what is known of one study leaves. A byte a label."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from cxr_lightning.findings.observations import OBSERVATIONS

_BLANK = 3
_LEVELS = {"-1": 0, "0": 1, "1": 2}


class Observed:
    """Labels by study."""

    def __init__(self) -> None:
        self._values: dict[Hashable, bytes] = {}
        self._same: dict[bytes, bytes] = {}  # most studies share their labels with many others

    def note(self, study: Hashable, cells: Mapping[str, object]) -> None:
        """Keep a study's labels.

        Args:
            study: Its name or number.
            cells: Label to 1, 0, -1, or nothing.
        """
        values = bytes(_level(cells.get(name)) for name in OBSERVATIONS)
        self._values[study] = self._same.setdefault(values, values)

    def of(self, study: Hashable) -> tuple[tuple[str, int], ...] | None:
        """Say what is known of a study.

        Args:
            study: Its name or number.

        Returns:
            Name and 1 (there), 0 (not there) or -1 (uncertain), for what anything is said of; None for a study that
            was not noted.
        """
        values = self._values.get(study)
        if values is None:
            return None
        return tuple((name, value - 1) for name, value in zip(OBSERVATIONS, values, strict=True) if value != _BLANK)


def _level(cell: object) -> int:
    return _LEVELS.get(str(cell).strip().removesuffix(".0"), _BLANK)
